#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent's manuals and its sample configuration beside the program: options, commands with their
arguments and what they return, configuration keys with their defaults."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import tap

SOURCE = os.environ.get("top_srcdir", ".")
BUILD = os.environ.get("top_builddir", ".")
PAGES = ["snapfreeze-agent.8", "snapfreeze-agent.conf.5", "snapfreeze-hooks.7", "snapfreeze-protocol.7"]
OPTION = re.compile(r"^  (?:-(\w), )?--([\w-]+)(?:=(\S+))?  ", re.M)
PAGE_OPTION = re.compile(r"^\.It (?:Fl (\w) , )?Fl Fl ([\w-]+)(?: Ar (\S+))?$", re.M)
# What a configuration may say in its place, for keys whose sample is an example and not the default.
EXAMPLES = {("general", "logfile"), ("general", "fsfreeze-hook"), ("general", "block-rpcs"), ("general", "allow-rpcs"),
            ("freeze", "include"), ("freeze", "exclude")}


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def agent(*words):
    """What the agent prints; it gets only options that print and end, and could freeze nothing."""
    result = subprocess.run([os.path.join(SOURCE, "qa", "no-freeze"), os.path.join(BUILD, "snapfreeze-agent"), *words],
                            capture_output=True, text=True, check=False,
                            env={**os.environ, "LC_ALL": "C", "QGA_CONF": "/dev/null"})
    assert result.returncode == 0 and not result.stderr, (words, result.stderr)
    return result.stdout


def section(page, title):
    """What stands below a heading, up to the next of its kind."""
    match = re.search(rf"^\.Sh {re.escape(title)}$\n(.*?)(?=^\.Sh |\Z)", read("man", page), re.M | re.S)
    assert match, f"{page} has no '.Sh {title}'"
    return match[1]


def subsections(page, title):
    parts = re.split(r"^\.Ss (.+)$", section(page, title), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def settings(dump):
    """(group, key) -> value of a configuration file."""
    group, found = None, {}
    for line in dump.splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found[group, key.strip()] = value.strip()
    return found


def dumped(configuration):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(configuration)
        file.flush()
        return settings(agent("-c", file.name, "-D"))


def test_options_are_the_same():
    program = set(OPTION.findall(agent("--help")))
    page = set(PAGE_OPTION.findall(section("snapfreeze-agent.8", "OPTIONS")))
    assert len(program) > 10 and program == page, program ^ page


def test_commands_are_the_same():
    program = agent("-b", "help").split()
    page = list(subsections("snapfreeze-protocol.7", "COMMANDS"))
    assert len(program) > 5 and sorted(program) == sorted(page), set(program) ^ set(page)


def command_table():
    """Command -> [arguments, what else is said of it], from the table that the agent reads."""
    lines = subprocess.run([os.path.join(BUILD, "qa", "unit", "list-commands")], capture_output=True,
                           text=True, check=True).stdout.splitlines()
    return {line.split(":")[0]: line.split(": ", 1)[1].split("; ") for line in lines}


def test_arguments_are_the_same():
    page = subsections("snapfreeze-protocol.7", "COMMANDS")
    for command, (arguments, *_) in command_table().items():
        match = re.search(r'^Arguments:(?: (none)\.|\n\.Li "(.*)")$', page[command], re.M)
        assert match, f"{command}: the page names no arguments"
        assert (match[2] or "") == arguments, (command, match[0], arguments)


def test_what_is_possible_while_frozen_is_the_same():
    page = subsections("snapfreeze-protocol.7", "COMMANDS")
    for command, (_, *said) in command_table().items():
        assert ("Possible while frozen" in page[command]) == ("while frozen" in said), command
        assert ("never forbidden" in page[command]) == ("never forbidden" in said), command


def test_members_of_answers_are_the_same():
    commands = sorted(name for name in os.listdir(os.path.join(SOURCE, "agent", "commands")) if name.endswith(".c"))
    sources = [read("agent", name) for name in ("report.c", "plan-json.c", "disk-address.c")]
    sources += [read("agent", "commands", name) for name in commands]
    program = set(re.findall(r'(?:json_object_set_\w+_member|json_builder_set_member_name|add_member|add_texts)'
                             r'\(\s*(?:json_node_get_object\(\w+\)|\w+),\s*"([\w-]+)"', "\n".join(sources)))
    text = section("snapfreeze-protocol.7", "COMMANDS")
    literal = {word for line in re.findall(r"^\.(?:It )?Li (.+)$", text, re.M) for word in re.findall(r"[\w-]+", line)}
    assert len(program) > 20 and program <= literal, program - literal
    described = {word for line in re.findall(r"^\.It Li ([^\"\n]+)$", text, re.M)
                 for word in re.findall(r"[\w-]+", line)} - {"Li"}
    # Tables of members hold nothing but their names.
    tables = set(re.findall(r'"([a-z0-9-]+)"', "\n".join(sources)))
    assert described <= program | tables, described - program - tables


def test_reasons_are_described():
    """Each text that can stand in "reasons", but for those of a freeze that failed and so has no thaw."""
    source = "".join(read("agent", name) for name in ("evidence.c", "lookout.c", "scout.c"))
    calls = re.findall(r"(?:blame|g_strdup|g_strdup_printf)\((.*?)\);", source, re.S)
    texts = [text.replace("%g", "%s") for call in calls for text in re.findall(r'"([^"]{5,})"', call)]
    ends = re.search(r"sf_end_describe.*?\{(.*?)\};", read("agent", "record.c"), re.S)[1]
    texts += [text for name, text in re.findall(r'\[(SF_END_\w+)\] = "([^"]+)"', ends)
              if name not in ("SF_END_REQUEST", "SF_END_FAILED", "SF_END_TIMEOUT")]
    assert len(texts) > 12
    page = section("snapfreeze-protocol.7", "REASONS")
    missing = [text for text in texts if not re.search(re.escape(text).replace("%s", "[A-Z]+"), page)]
    assert not missing, missing


def page_keys():
    """(group, key) of every key that the page describes; "channel" for [channel:NAME]."""
    found = set()
    for title in re.findall(r"^\.Sh (GROUPS? \[.*\])$", read("man", "snapfreeze-agent.conf.5"), re.M):
        group = re.search(r"\[(\w+)", title)[1]
        found |= {(group, key) for key in re.findall(r"^\.It Ic ([\w-]+)$", section("snapfreeze-agent.conf.5", title), re.M)}
    return found


def parser_keys():
    """The same of every key in the parser's table."""
    text = read("agent", "configuration-keys.c")
    table = set(re.findall(r'^\s*\{"(\w+)", "([\w-]+)", KEY_\w+,?', text, re.M))
    assert len(table) > 15
    return table | {("channel", "method"), ("channel", "path")}


def test_configuration_keys_are_the_same():
    assert page_keys() == parser_keys(), page_keys() ^ parser_keys()


def sample(uncomment):
    with open(os.path.join(BUILD, "packaging", "agent.conf.example"), encoding="utf-8") as file:
        text = file.read()
    return re.sub(r"^#(?=[a-z-]+ = )", "", text, flags=re.M) if uncomment else text


def test_sample_configuration_has_every_key():
    not_for_new_files = set(re.findall(r'^\s*\{"(\w+)", "([\w-]+)", (?:[^}]*is_old_name|KEY_REFUSED)',
                                       read("agent", "configuration-keys.c"), re.M))
    wanted = parser_keys() - not_for_new_files
    here = {(group.split(":")[0], key) for group, key in settings(sample(True))}
    assert not_for_new_files and here == wanted, here ^ wanted


def test_sample_configuration_is_read_and_gives_the_defaults():
    defaults = settings(agent("-D"))
    shipped, full = dumped(sample(False)), dumped(sample(True))
    local = {("channel:local", "method"): "unix-listen",
             ("channel:local", "path"): defaults["general", "statedir"] + "/agent.sock"}
    assert shipped == {**defaults, **local}, set(shipped.items()) ^ set({**defaults, **local}.items())
    differs = {key for key in full if full[key] != shipped.get(key)}
    assert differs == EXAMPLES, differs ^ EXAMPLES


def test_what_readme_shows_is_a_configuration():
    text = read("README.md").split("\n## Configuration\n")[1].split("\n## ")[0]
    shown = "\n".join(re.findall(r"^    (.*)", text, re.M))
    assert settings(shown).keys() < parser_keys()
    dump = dumped(shown)
    assert dump["commands", "profile"] == "full" and dump["freeze", "timeout"] == "120", dump


def test_pages_are_clean():
    if not shutil.which("mandoc"):
        raise tap.Skip("mandoc is not installed")
    for page in PAGES:
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", os.path.join(SOURCE, "man", page)],
                              capture_output=True, text=True, check=False)
        assert lint.returncode == 0 and not lint.stdout, lint.stdout


if __name__ == "__main__":
    sys.exit(tap.run(sys.modules[__name__]))
