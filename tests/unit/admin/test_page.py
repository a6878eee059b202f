"""The status page of what others wrote."""

from agent.admin.page import page
from agent.admin.status import status
from agent.model.review import Review
from agent.runtime.latest import Latest
from tests.unit.admin.examples import sources


async def test_everything_is_shown_and_nothing_that_others_wrote_becomes_markup() -> None:
    shown = page(await status(sources(service="<b>x</b>", ready=False)))
    assert "<b>x</b>" not in shown
    assert "&lt;b&gt;x&lt;/b&gt;" in shown
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "not ready" in shown
    assert "No Envoy is connected." in shown
    assert "127.0.0.1:9000" in shown
    assert "http" not in shown.replace("http-equiv", "")


async def test_the_status_holds_keys_of_the_configuration_but_no_value() -> None:
    found = str(await status(sources()))
    assert "feature/limit" in found
    assert "s3cret" not in found


async def test_what_others_registered_wrongly_is_told_with_how_many_more_there_are() -> None:
    review = Review(("<b>bad</b> is left out.",), 7, ("Both a and b ask for /x: a gets it.",), 1)
    text = page(await status(sources(review=Latest(review))))
    assert "&lt;b&gt;bad&lt;/b&gt; is left out." in text
    assert "Both a and b ask for /x" in text
    assert "6 more" in text
    assert "What others registered" not in page(await status(sources()))
