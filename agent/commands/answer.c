/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shapes of answers that several families have. */
#include "config.h"

#include "agent/commands/commands.h"

void sf_answer_integer(SfCall *call, gint64 number)
{
	JsonNode *node = json_node_new(JSON_NODE_VALUE);

	json_node_set_int(node, number);
	sf_call_return(call, node);
}

void sf_answer_nothing(SfCall *call)
{
	sf_answer_object(call, json_object_new(), NULL);
}

void sf_answer_object(SfCall *call, JsonObject *object, const GError *error)
{
	JsonNode *node;

	if (!object) {
		sf_call_fail(call, error);
		return;
	}
	node = json_node_new(JSON_NODE_OBJECT);
	json_node_take_object(node, object);
	sf_call_return(call, node);
}

void sf_answer_array(SfCall *call, JsonArray *array, const GError *error)
{
	JsonNode *node;

	if (!array) {
		sf_call_fail(call, error);
		return;
	}
	node = json_node_new(JSON_NODE_ARRAY);
	json_node_take_array(node, array);
	sf_call_return(call, node);
}
