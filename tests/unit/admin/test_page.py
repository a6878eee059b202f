"""The status page of what others wrote."""

from agent.admin.page import page
from agent.admin.status import status
from tests.unit.admin.examples import sources


async def test_everything_is_shown_and_nothing_that_others_wrote_becomes_markup() -> None:
    shown = page(await status(sources(service="<b>x</b>", ready=False)))
    assert "<b>x</b>" not in shown
    assert "&lt;b&gt;x&lt;/b&gt;" in shown
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "Not ready" in shown
    assert "No Envoy is connected." in shown
    assert "127.0.0.1:9000" in shown
    assert "http" not in shown.replace("http-equiv", "")


async def test_the_status_holds_keys_of_the_configuration_but_no_value() -> None:
    found = str(await status(sources()))
    assert "feature/limit" in found
    assert "s3cret" not in found
