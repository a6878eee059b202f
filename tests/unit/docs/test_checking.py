"""The checks of examples find what is wrong with one."""

import pytest

from tests.unit.docs import commands, settings
from tests.unit.docs.blocks import Block, of_text


def yaml(text: str, first: str = settings.FILE) -> Block:
    """An example of settings."""
    return Block("docs/x.md", 7, "yaml", f"{first}\n{text}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service: {nam: orders}", "did you mean"),
        ("servise: {name: orders}", "servise"),
        ("service: {port: many}", "service.port"),
        ("versions: {serves: [v1], default: v2}", "versions.default"),
        ("service: [", "not YAML"),
        ("registry: {token: one, token_file: /run/secrets/two}", "one of the two"),
    ],
)
def test_a_wrong_example_of_settings_is_found(text: str, said: str) -> None:
    assert said in " ".join(settings.wrong(yaml(text)))


def test_a_right_example_of_settings_passes_though_its_secret_files_are_elsewhere() -> None:
    block = yaml("service: {name: orders}\noutbox: {database_file: /run/secrets/database}")
    assert settings.is_example(block)
    assert settings.wrong(block) == []


def test_a_value_for_consul_may_say_only_what_is_live() -> None:
    first = "# KV pillion/orders"
    assert settings.is_example(yaml("", first))
    assert settings.wrong(yaml("versions: {policy: latest}", first)) == []
    assert "without a restart" in " ".join(settings.wrong(yaml("service: {name: x}", first)))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("pillion fly", "No such command 'fly'"),
        ("pillion", "Missing command"),
        ("pillion config", "Missing command"),
        ("pillion config shew", "No such command 'shew'"),
        ("pillion run --service-nam orders", "--service-nam"),
        ("pillion run --service-name", "requires an argument"),
        ("pillion run --service-port many", "service.port"),
        ("pillion status --no-such", "--no-such"),
        ("pillion config check", "Missing argument"),
        ("pillion config check a b", "unexpected extra argument (b)"),
        ("pillion config check --for everybody a", "everybody"),
        ("X=1 pillion fly", "No such command"),
        ("cat a | pillion fly > b", "No such command"),
        ("true && pillion fly", "No such command"),
        ("pillion run --service-name 'orders", "closing quotation"),
    ],
)
def test_a_wrong_command_is_found(typed: str, said: str) -> None:
    assert said.lower() in " ".join(commands.wrong(typed)).lower()


@pytest.mark.parametrize(
    "typed",
    [
        "pillion run --service-name orders --versions-serves v1,v2 -- gunicorn --bind 0.0.0.0:80 app:app",
        "pillion run -- sh -c 'a | b; c'",
        "pillion config check no-such-file.yaml",
        "pillion config show --json | jq .service 2> /dev/null",
        "PILLION_CONFIG=x pillion config schema > pillion.schema.json",
        "pillion --help",
        "pillion run --help",
        "pillion --version",
        "curl --no-such-option http://orders/",
    ],
)
def test_a_right_command_passes_without_being_run(typed: str) -> None:
    assert commands.wrong(typed) == []


def test_what_is_typed_is_told_from_what_is_printed() -> None:
    text = "$ pillion status\npillion fly\n$ pillion run \\\n    --service-name orders\n# $ no\n"
    assert [*commands.commands(Block("x", 1, "console", text))] == [
        "pillion status", "pillion run --service-name orders",
    ]  # fmt: skip
    assert [*commands.commands(Block("x", 1, "sh", text))] == []


def test_blocks_are_found_wherever_a_page_has_them() -> None:
    text = "a\n```yaml\nx: 1\n```\n* point\n  ```console\n  $ y\n  ```\n````\n```\n````\n~~~\nz\n~~~\n"
    assert [(one.line, one.language, one.text) for one in of_text(text, "p")] == [
        (2, "yaml", "x: 1\n"), (6, "console", "$ y\n"), (9, "", "```\n"), (12, "", "z\n"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="p:1"):
        [*of_text("```\nx", "p")]
