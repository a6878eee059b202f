"""Findings about this machine and the agent on it."""

from agent.doctor.catalog.declare import Entry, Part

MACHINE = Part(
    "This machine",
    "Always, with or without a running agent.",
    (
        Entry(
            "settings.valid",
            "flags are left out: the file, the variables, the files of secrets",
            "a value that can't be used, an unknown key, settings that contradict each other, a secret's file that "
            "can't be read; nothing else is looked at then",
            "a `PILLION_` variable that is none, a secret's file that every user may read",
            "mend it: the key, what is wrong and what is allowed are told",
        ),
        Entry(
            "envoy.binary",
            "`proxy.envoy`, else `envoy` on PATH, else Pillion's cache",
            "there is none, or it may not be executed",
            "",
            "`pillion demo --obtain envoy`, or `proxy.envoy`",
        ),
        Entry(
            "envoy.version",
            "what the binary says to `--version`",
            "it can't be run, or says no Envoy's version",
            "older or newer than the one that all is tested with",
            "take that one; `pillion envoy validate` tells whether this one takes the configuration",
        ),
        Entry(
            "ports.free",
            "each address that the settings have the agent or Envoy listen at",
            "another process has it (named with its pid where this user may see it), no interface has the address, or "
            "the port is below 1024 and this user may not take it",
            "",
            "end the other one, or set the key that is named",
        ),
        Entry(
            "state.dir",
            "the state folder: a file is written there and taken away",
            "it can't be made or written, or its path is too long for a socket",
            "",
            "give this user the folder, or name another as `state.dir`",
        ),
        Entry(
            "state.space",
            "the disk of the state folder",
            "less than 1 MiB or no inode is free",
            "less than 64 MiB are free",
            "make room, or name another folder",
        ),
        Entry(
            "files.limit",
            "how many files the running Envoy may open, without one what is started from here",
            "",
            "fewer than 4096: each request takes two",
            "`LimitNOFILE=`, `ulimit -n`, `--ulimit`",
        ),
    ),
)

AGENT = Part(
    "The running agent",
    "Where an agent answers at `admin.listen`. `carry.active` also looks at the service's processes, as far as this "
    "user may.",
    (
        Entry(
            "agent.running",
            "whether one answers (it need not), whose it is, and its version",
            "",
            "it stands beside another service than the settings say, or runs another version than this program",
            "give its own settings; start it again",
        ),
        Entry(
            "agent.ready",
            "whether the instance gets requests",
            "it does not, with the agent's own reasons",
            "",
            "what is found of the parts tells more",
        ),
        Entry(
            "agent.component",
            "each part of the agent",
            "",
            "it lacks something, in its own words",
            "as it says",
        ),
        Entry(
            "envoy.accepted",
            "Envoy's connection and its last word on the configuration",
            "no Envoy is connected, or it refused a part of the configuration",
            "",
            "the agent's log; `pillion envoy validate`",
        ),
        Entry(
            "carry.active",
            "whether the service's answers show the hook, and if not, its processes' arguments and environment",
            "",
            "it does not: a Python with -S, -I or -E, a PYTHONPATH without the hook, another `sitecustomize` before "
            "it, `PILLION_CARRY=off`, no Python at all, or nothing that can be seen",
            "start the service without that, or set `tracing.carry` to false",
        ),
    ),
)
