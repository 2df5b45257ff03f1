#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plants one fault at a time in a copy of a source and walks the model with it: each must be found.

Run by `make check`; by hand from the build folder: top_srcdir=../snapfreeze ../snapfreeze/qa/model/mutants.py [NAME…]
A fault whose text is not in the source any more is a failure: adapt it.
"""

import os
import shutil
import subprocess
import sys
import time

TRANSITIONS = "agent/transitions.c"
CORE = "agent/freezer/core.c"
GATES = "agent/freezer/gates.c"
WORKER = "agent/freezer/worker.c"
RESCUE = "agent/rescue.c"

# What the model includes rather than links.
WRAPPERS = {WORKER: "qa/model/threads.c", RESCUE: "qa/model/rescue.c"}

# name, file, old text (once in the file), new text
MUTANTS = [
    ("frozen-freezer-gone-is-not-rescued", TRANSITIONS,
     "begin_ending(state, false);\n\t\treturn SF_DO_RESCUE;",
     "begin_ending(state, false);\n\t\treturn SF_DO_END;"),
    ("thawing-freezer-gone-is-not-rescued", TRANSITIONS,
     "\t\t * can say. */\n\t\treturn SF_DO_RESCUE;", "\t\t * can say. */\n\t\treturn 0;"),
    ("draining-accepts-a-freeze", TRANSITIONS,
     "\tcase SF_EVENT_FREEZE:\n\t\treturn SF_DO_REFUSE_FREEZE;\n\tcase SF_EVENT_THAW:\n\t\treturn state->is_releasing",
     "\tcase SF_EVENT_FREEZE:\n\t\treturn idle(state, event);\n\tcase SF_EVENT_THAW:\n\t\treturn state->is_releasing"),
    ("thaw-is-not-judged", TRANSITIONS, "return SF_DO_JUDGE | SF_DO_END;", "return SF_DO_END;"),
    ("draining-says-thawed", TRANSITIONS,
     "state->name <= SF_STATE_DRAINING;", "state->name <= SF_STATE_THAWING;"),
    ("hooks-are-not-released", TRANSITIONS,
     "return SF_DO_CLOSE | release(state);", "return SF_DO_CLOSE;"),
    ("hooks-are-released-twice", TRANSITIONS,
     "if (state->is_releasing || state->was_released)", "if (state->was_released)"),
    ("a-lost-hook-is-ignored", TRANSITIONS,
     "case SF_EVENT_HOOK_LOST:\n\t\treturn give_up(state, event);\n\tdefault:\n\t\treturn 0;\n\t}\n}\n\nstatic unsigned int frozen",
     "return give_up(state, event);\n\tdefault:\n\t\treturn 0;\n\t}\n}\n\nstatic unsigned int frozen"),
    ("a-failed-freeze-is-answered-before-its-hooks-are-released", TRANSITIONS,
     "return SF_DO_CLOSE | release(state);", "return SF_DO_CLOSE | SF_DO_FAIL_FREEZE | release(state);"),
    ("thaws-are-not-answered", TRANSITIONS,
     "return empty | SF_DO_FAIL_FREEZE | SF_DO_ANSWER_THAW | leave;",
     "return empty | SF_DO_FAIL_FREEZE | leave;"),
    ("a-failed-freeze-is-not-answered", TRANSITIONS,
     "return empty | SF_DO_FAIL_FREEZE | SF_DO_ANSWER_THAW | leave;",
     "return empty | SF_DO_ANSWER_THAW | leave;"),
    ("a-thaw-while-freezing-is-not-sent", TRANSITIONS,
     "return event == SF_EVENT_FREEZER_GONE ? SF_DO_RESCUE : SF_DO_END;",
     "return event == SF_EVENT_FREEZER_GONE ? SF_DO_RESCUE : 0;"),
    ("a-freeze-begins-unprepared", TRANSITIONS,
     "state->name = SF_STATE_FREEZING;\n\t\tstate->was_begun = true;",
     "state->name = SF_STATE_FREEZING;"),
    ("thaws-ignore-edges", GATES,
     "if (holds_up_a_thaw(&core->targets[core->edges[e].after]))", "if (false)"),
    ("freezes-ignore-edges", GATES,
     "if (core->targets[core->edges[e].before].job != SF_JOB_NONE)", "if (false)"),
    ("freezes-ignore-barriers", GATES,
     "if (core->targets[i].is_barrier && core->targets[i].job != SF_JOB_NONE)", "if (false)"),
    ("the-deadline-does-nothing", CORE,
     "begin_ending(core, SF_END_DEADLINE, -1, 0);", ";"),
    ("the-deadline-is-not-armed", CORE,
     "else if (core->phase == SF_PHASE_FROZEN)\n\t\tat.boottime_ms = core->deadline_ms;", ""),
    ("the-heartbeat-is-not-armed", CORE,
     "= {UINT64_MAX, core->heartbeat_until_ms};", "= {UINT64_MAX, UINT64_MAX};"),
    ("a-missed-heartbeat-does-not-restore-the-limits", CORE,
     "core->restore = true;\n\tcore->heartbeat_until_ms", "core->heartbeat_until_ms"),
    ("the-limits-hold-while-frozen", CORE,
     "core->phase = SF_PHASE_FROZEN;\n\tcore->restore = true;", "core->phase = SF_PHASE_FROZEN;"),
    ("a-failed-thaw-is-not-tried-again", CORE,
     "at = earlier(at, target->since_ms + SF_THAW_RETRY_MS);", ";"),
    ("a-waiting-retry-spins", CORE, "!sf_gates_thaw_must_wait(core, i))\n\t\t\tat =", "true)\n\t\t\tat ="),
    ("a-failed-thaw-counts", CORE,
     "if (error == 0 || error == EINVAL) {", "if (error == 0 || error == EINVAL || error == EIO) {"),
    ("a-foreign-thaw-is-tried-for-ever", CORE,
     "if (error == 0 || error == EINVAL) {", "if (error == 0) {"),
    ("a-failed-freeze-goes-on", CORE,
     "begin_ending(core, SF_END_FAILED, (int)index, error);\n}\n\nstatic void thaw_done", "}\n\nstatic void thaw_done"),
    ("the-end-waits-for-no-thread", CORE, "if (core->running == 0) {\n\t\tfinish_ending", "if (true) {\n\t\tfinish_ending"),
    ("agent-gone-while-freezing-is-idle", CORE,
     "if (core->phase < SF_PHASE_FREEZING)\n\t\tcore->phase = SF_PHASE_IDLE;",
     "if (core->phase <= SF_PHASE_FREEZING)\n\t\tcore->phase = SF_PHASE_IDLE;"),
    ("threads-are-not-counted-down", CORE,
     "core->targets[index].job = SF_JOB_NONE;\n\tcore->running--;", "core->targets[index].job = SF_JOB_NONE;"),
    ("a-second-flush-is-refused-the-freeze", CORE,
     "if (core->phase != SF_PHASE_FLUSHED || message->lease == 0)",
     "if (core->phase != SF_PHASE_LOADED || message->lease == 0)"),
    ("the-thaw-has-another-reason", CORE,
     "begin_ending(core, message->reason, -1, 0);", "begin_ending(core, SF_END_DEADLINE, -1, 0);"),
    ("the-record-hears-of-a-freeze-too-late", WORKER,
     "atomic_store(&worker->entry->state, SF_ENTRY_FREEZING);\n", ""),
    ("the-record-forgets-a-failed-thaw", WORKER,
     "is_over ? SF_ENTRY_THAWED : SF_ENTRY_FROZEN", "SF_ENTRY_THAWED"),
    ("the-record-calls-a-foreign-freeze-ours", WORKER,
     "result == 0 ? SF_ENTRY_FROZEN : SF_ENTRY_PLANNED", "result == 0 ? SF_ENTRY_FROZEN : SF_ENTRY_FREEZING"),
    ("an-accepted-foreign-freeze-is-called-frozen", WORKER,
     "atomic_store(&worker->entry->state, SF_ENTRY_FOREIGN);",
     "atomic_store(&worker->entry->state, SF_ENTRY_FROZEN);"),
    ("freezes-begin-after-the-ending", WORKER,
     "if (atomic_load(&all->is_ending))\n\t\t\treturn -ECANCELED;", ""),
    ("the-rescue-waits-for-no-thread", RESCUE,
     "return state == 'D' && atomic_load(&entry->state) == SF_ENTRY_FROZEN;", "return true;"),
    ("the-rescue-waits-for-no-end", RESCUE, "bool has_more = !is_gone;", "bool has_more = false;"),
    ("the-rescue-forgets-a-failed-thaw", RESCUE,
     "is_over ? SF_ENTRY_THAWED : SF_ENTRY_FROZEN", "SF_ENTRY_THAWED"),
    ("children-take-no-lock", RESCUE,
     "return sf_record_lock_entry(thaw->record, thaw->index) &&\n\t       sf_record", "return sf_record"),
    ("a-late-child-thaws-the-next-freeze", RESCUE, "thaw->record->map->id == thaw->id", "true"),
    ("glue-the-second-sign-of-a-death-carries-out-again", "qa/model/freezer.c",
     "sf_core_agent_gone(&core, now);", "if (!core.agent_gone)\n\t\tsf_core_agent_gone(&core, now);"),
    ("glue-a-drop-outlives-the-rescue", "qa/model/session.c", "\tagent->drop = false;\n\trescue_start", "\trescue_start"),
    ("glue-the-link-looks-away-while-thawing", "qa/model/link.c",
     "if (kind == SF_MESSAGE_ENDED)\n\t\tagent->ticks = false;", "if (kind == SF_MESSAGE_ENDING)\n\t\tagent->ticks = false;"),
    ("glue-writes-are-not-judged", "qa/model/session.c",
     "world->targets[i].is_written ||", "false ||"),
    ("glue-the-end-is-not-judged", "qa/model/session.c",
     "world->record.end != SF_END_REQUEST ||", "false ||"),
    ("glue-a-freeze-that-was-given-up-is-noted-as-frozen", "qa/model/session-freezer.c",
     "looks == LOOK_AFTER_FREEZE && world->agent.state == SF_STATE_FREEZING", "looks == LOOK_AFTER_FREEZE"),
    ("glue-a-thaw-waits-for-no-look", "qa/model/requests.c",
     "else if (!agent->looks)\n\t\tagent->looks = LOOK_BEFORE_THAW;", "else if (agent->looks)\n\t\tagent->looks = LOOK_BEFORE_THAW;"),
    ("glue-the-watch-ends-before-the-thaw", "qa/model/events.c",
     "!session_is_idle(&world->agent))\n\t\tadd(list, EVENT_WATCHDOG", "world->agent.state == SF_STATE_FROZEN)\n\t\tadd(list, EVENT_WATCHDOG"),
    ("glue-a-new-agent-forgets-the-hooks", "qa/model/session.c",
     "if (!record->hooks)\n\t\treturn;", "return;"),
    ("glue-the-recovery-leaves-the-old-freezer-alone", "qa/model/recovery.c",
     "world->freezer.process != PROCESS_DEAD;\n\t\tif", "false;\n\t\tif"),
]


def source(path):
    return os.path.join(os.environ["top_srcdir"], path)


def plant(mutant, folder):
    """Writes the copy with the fault. Returns the source to compile."""
    name, path, old, new = mutant
    with open(source(path), encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        raise ValueError(f"its text is {text.count(old)} times in {path}")
    copy = os.path.join(folder, path)
    os.makedirs(os.path.dirname(copy))
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
    return source(WRAPPERS[path]) if path in WRAPPERS else copy


def try_mutant(mutant, folder):
    """Returns (whether it was found, by what)."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    try:
        program = os.path.join(folder, "model")
        subprocess.run(["sh", "qa/model/compile", folder, plant(mutant, folder), program], check=True)
        result = subprocess.run([program, "--first"], stdout=subprocess.PIPE, text=True, check=False)
        if result.returncode == 0:
            return False, "nothing is found"
        return bool(result.stdout), result.stdout.strip() or f"the walk ended with {result.returncode}"
    except (ValueError, subprocess.CalledProcessError) as error:
        return False, str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    with open("qa/model/compile", encoding="utf-8") as file:
        if "-fsanitize" in file.read():
            print("1..0 # SKIP with sanitizers it takes too long, and shows nothing more")
            return 0
    wanted = sys.argv[1:]
    mutants = [mutant for mutant in MUTANTS if not wanted or mutant[0] in wanted]
    failed = 0
    print(f"1..{len(mutants)}")
    for number, mutant in enumerate(mutants, 1):
        begun = time.monotonic()
        is_found, what = try_mutant(mutant, os.path.abspath(f"qa/model/mutants/{mutant[0]}"))
        failed += not is_found
        print(f"{'ok' if is_found else 'not ok'} {number} {mutant[0]}")
        print(f"# {what} ({time.monotonic() - begun:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
