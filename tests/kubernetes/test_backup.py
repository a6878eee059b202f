"""The database backed up now, its content lost, and brought back by the charts' own Jobs."""

import time
import uuid

from tests.kubernetes import events
from tests.kubernetes.install import INFRA, SERVERS, SHOP
from tests.kubernetes.kube import until
from tests.kubernetes.world import World

POSTGRES = f"{INFRA}-postgres"


def _job(world: World, cron: str, space: str = SERVERS) -> str:
    """Run a CronJob's Job now, as NOTES.txt says; what it printed."""
    name = f"{cron}-{uuid.uuid4().hex[:6]}"
    world.kube("create", "job", f"--namespace={space}", f"--from=cronjob/{cron}", name)
    world.kube("wait", "--for=condition=complete", f"job/{name}", f"--namespace={space}", "--timeout=120s")
    said = world.kube("logs", f"--namespace={space}", f"job/{name}", "--all-containers")
    world.kube.delete("job", name, space)
    return said


def _sql(world: World, text: str) -> str:
    argv = ("psql", "-U", "postgres", "-d", "shop", "-Atc", text)
    return world.kube.execute(SERVERS, f"{POSTGRES}-0", "postgres", *argv).strip()


async def test_lost_orders_come_back_from_the_newest_backup_and_the_outbox_goes_on(world: World) -> None:
    for _ in range(3):
        assert world.send(f"{world.gateway}/shop/checkout", "POST", {"sku": "cup"}).status == 201
    orders = _sql(world, "SELECT count(*), sum(id) FROM orders")
    began = time.monotonic()
    assert "backup: shop-" in _job(world, f"{POSTGRES}-backup")
    saved = time.monotonic() - began
    _sql(world, "DELETE FROM orders")
    assert _sql(world, "SELECT count(*) FROM orders") == "0"
    began = time.monotonic()
    assert "restore: the database shop is as it was" in _job(world, f"{POSTGRES}-restore")
    restored = time.monotonic() - began
    assert _sql(world, "SELECT count(*), sum(id) FROM orders") == orders
    until("the shop answers", lambda: world.send(f"{world.gateway}/shop").status == 200, 60)
    until("an order can be made", lambda: _made(world), 60)
    _job(world, "orders-v2-adopt", SHOP)
    number = uuid.uuid4().hex
    context = f"00-{number}-{uuid.uuid4().hex[:16]}-01"
    path = f"{world.gateway}/api/v2/orders/{_sql(world, 'SELECT max(id) FROM orders')}"
    assert world.send(path, "PATCH", {"status": "shipped"}, traceparent=context).status == 200
    with events.broker(world) as url:
        event = await events.of_trace(url, number, 60)
    assert event.headers["ce-type"] == "orders.updated"
    world.record.section(
        "Backup and restore",
        [f"backup {saved:.0f} s, restore {restored:.0f} s, orders (count, sum) {orders}"],
    )


def _made(world: World) -> bool:
    return world.send(f"{world.gateway}/shop/checkout", "POST", {"sku": "cup"}).status == 201
