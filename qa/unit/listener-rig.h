/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/un.h>

#include "agent/listener.h"
#include "qa/unit/fake-dispatch.h"

/* A dispatcher that a test plays, and a path for a socket or a device. */
typedef struct {
	SfDispatch *dispatch;
	char *folder, *path;
	SfListener *listener;
} Fixture;

void rig_set_up(Fixture *fixture, gconstpointer data);
void rig_tear_down(Fixture *fixture, gconstpointer data);

/* Until nothing is left to do. */
void rig_spin(void);
struct sockaddr_un rig_address(const char *path);
int rig_connect(const char *path);
void rig_say(int fd, const char *text);
void rig_assert_hears(int fd, const char *expected);

#define ADD(name, function) g_test_add(name, Fixture, NULL, rig_set_up, function, rig_tear_down)
