"""The chart infrastructure: what its servers are told is what the real ones take, and secrets are made once."""

import json
import re
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import check_addresses
import consul_tokens
import make_secrets
import pytest
import yaml

from agent.demo import backing
from tests.acl import AclConsul
from tests.integration.charts import switches
from tests.integration.charts.rendering import CHARTS, Helm, merged, one, templates
from tests.unit.charts.cluster import Cluster

FULL = switches.FULL["infrastructure"]
ACL = {"consul": {"acl": {"enabled": True, "services": ["orders"]}}}


def _plan(rendered: list[dict[str, Any]], release: str = "infrastructure") -> dict[str, Any]:
    plan = json.loads(one(rendered, "ConfigMap", f"{release}-secrets")["data"]["plan.json"])
    assert isinstance(plan, dict)
    return plan


def _made(plan: Mapping[str, Any], cluster: Cluster) -> dict[tuple[str, str], dict[str, str]]:
    """The Secrets after the hook ran, by namespace and name."""
    make_secrets.ensure(plan, cluster.call)
    return {
        (path.split("/")[4], path.split("/")[6]): make_secrets._data(secret)
        for path, secret in cluster.secrets.items()
    }


def test_consul_takes_the_configuration_of_servers_and_clients(helm: Helm, tmp_path: Path) -> None:
    for values in ({}, FULL, {"consul": {"gossipEncryption": False}}):
        rendered = helm.render("infrastructure", values)
        told = one(rendered, "ConfigMap", "infrastructure-consul")["data"]
        secret = _made(_plan(rendered), Cluster()).get(("somewhere", "infrastructure-consul"), {})
        for name in ("server.json", "client.json"):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / "a.json").write_text(told[name])
            # In a pod the command line says it.
            (folder / "bind.json").write_text('{"bind_addr": "127.0.0.1"}')
            (folder / "b.json").write_text(secret.get(name, "{}"))
            argv = [backing.binary("consul"), "validate", str(folder)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def test_a_lost_node_is_forgotten_soon_and_one_that_ends_in_order_at_once(helm: Helm) -> None:
    told = one(helm.render("infrastructure"), "ConfigMap", "infrastructure-consul")["data"]
    client = json.loads(told["client.json"])
    assert client["leave_on_terminate"] is True
    assert client["advertise_reconnect_timeout"] == "5m"
    assert client["client_addr"] == "0.0.0.0"
    assert "advertise_reconnect_timeout" not in json.loads(told["server.json"])


def test_servers_and_clients_find_all_servers_by_names_of_their_own(helm: Helm) -> None:
    rendered = helm.render("infrastructure", FULL)
    servers = one(rendered, "StatefulSet", "infrastructure-consul-server")["spec"]
    service = one(rendered, "Service", servers["serviceName"])
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    names = [
        f"infrastructure-consul-server-{number}.{servers['serviceName']}.somewhere.svc"
        for number in range(servers["replicas"])
    ]
    for told in one(rendered, "ConfigMap", "infrastructure-consul")["data"].values():
        assert json.loads(told)["retry_join"] == names
    assert (
        json.loads(one(rendered, "ConfigMap", "infrastructure-consul")["data"]["server.json"])[
            "bootstrap_expect"
        ]
        == 3
    )


def test_pods_reach_the_client_of_their_node_at_the_nodes_port(helm: Helm) -> None:
    (container,) = one(helm.render("infrastructure"), "DaemonSet")["spec"]["template"]["spec"]["containers"]
    assert {"name": "http", "containerPort": 8500, "hostPort": 8500} in container["ports"]
    assert "-node=$(NODE_NAME)" in container["command"]


def test_nats_takes_its_configuration_with_the_generated_users(helm: Helm, tmp_path: Path) -> None:
    rendered = helm.render("infrastructure", FULL)
    secrets = _made(_plan(rendered), Cluster())
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "users.conf").write_text(
        secrets["somewhere", "infrastructure-nats"]["users.conf"]
    )
    told = one(rendered, "ConfigMap", "infrastructure-nats")["data"]["nats.conf"]
    (tmp_path / "nats.conf").write_text(told.replace("/data", str(tmp_path / "data")))
    argv = [backing.binary("nats-server"), "-t", "--config", str(tmp_path / "nats.conf")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_upgrade_keeps_every_secret_and_adds_those_of_what_was_switched_on(helm: Helm) -> None:
    cluster = Cluster()
    before = _made(_plan(helm.render("infrastructure")), cluster)
    after = _made(_plan(helm.render("infrastructure", FULL)), cluster)
    for place, held in before.items():
        if place[1] != "infrastructure-nats":  # the list of users has become longer
            assert held.items() <= after[place].items() or place[1] == "infrastructure-consul", place
    values = "somewhere", "infrastructure-values"
    assert before[values].items() < after[values].items()
    assert ("shop", "infrastructure-outbox-orders") in after


def test_only_what_services_use_is_copied_to_other_namespaces(helm: Helm) -> None:
    secrets = _made(_plan(helm.render("infrastructure", FULL)), Cluster())
    for (space, name), held in secrets.items():
        if space == "shop":
            assert set(held) <= {"url", "sqlalchemy", "broker", "token"}, name
    there = {name for space, name in secrets if space == "shop"}
    assert {
        "infrastructure-postgres-orders",
        "infrastructure-nats-billing",
        "infrastructure-consul-orders",
    } <= there


def test_the_hook_may_touch_only_the_secrets_that_it_makes(helm: Helm) -> None:
    rendered = helm.render("infrastructure", FULL)
    plan = _plan(rendered)
    wanted: dict[str, set[str]] = {}
    for secret in (plan["values"], *plan["secrets"]):
        wanted.setdefault(secret["namespace"], set()).add(secret["name"])
    found = {}
    for role in rendered:
        if role["kind"] == "Role":
            create, rest = role["rules"]
            assert (create["verbs"], rest["verbs"]) == (["create"], ["get", "patch"])
            found[role["metadata"]["namespace"]] = set(rest["resourceNames"])
    assert found == wanted


def test_with_secrets_of_ones_own_nothing_is_generated(helm: Helm) -> None:
    own = {name: {"existingSecret": f"my-{name}"} for name in ("consul", "nats", "postgres")}
    rendered = helm.render("infrastructure", own)
    assert not [one for one in rendered if one["kind"] == "Role" or "make_secrets" in json.dumps(one)]
    text = yaml.safe_dump_all(rendered)
    for name in own:
        assert f"secretName: my-{name}" in text


def test_a_part_that_is_switched_off_leaves_nothing(helm: Helm) -> None:
    parts = ("consul", "jaeger", "nats", "postgres")
    for part in parts:
        off = merged(FULL, {other: {"enabled": False} for other in parts if other != part})
        names = {one["metadata"]["name"] for one in helm.render("infrastructure", off)}
        for other in parts:
            named = [name for name in names if name.startswith(f"infrastructure-{other}")]
            assert bool(named) is (other == part), named
    assert helm.render("infrastructure", {part: {"enabled": False} for part in parts}) == []


def test_policies_leave_open_the_ports_of_each_service_and_nothing_else(helm: Helm) -> None:
    sources = [{"podSelector": {"matchLabels": {"a": "b"}}}]
    values = merged(FULL, {"networkPolicy": {"enabled": True, "from": sources}})
    policies = {
        one["metadata"]["name"]: one["spec"]
        for one in helm.render("infrastructure", values)
        if one["kind"] == "NetworkPolicy"
    }
    ports = {"consul-server": [8500, 8600, 8600], "jaeger": [4318, 16686], "nats": [4222], "postgres": [5432]}
    for name, numbers in ports.items():
        first = policies[f"infrastructure-{name}"]["ingress"][0]
        assert [port["port"] for port in first["ports"]] == numbers
        # Whoever is let in, the release's own Jobs and test are too.
        own = {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "infrastructure"}}}
        assert first["from"] == [*sources, own]
    # What comes by the node's port may come with the node's address, which no selector names.
    assert policies["infrastructure-consul-client"]["ingress"][0] == {"ports": [{"port": 8500}]}


@pytest.mark.parametrize("name", ["management", "agent", "dns", "gateway", "injector", "sidecar"])
def test_a_service_or_token_cant_be_called_as_one_of_the_releases_own(helm: Helm, name: str) -> None:
    """Its Secret would be that of the other; `management` would publish the token that may do everything."""
    for acl in ({"services": [name]}, {"tokens": {name: 'node_prefix "" { policy = "read" }'}}):
        values = {"consul": {"acl": {"enabled": True, **acl}}}
        done = helm.run(
            "template", "x", str(CHARTS / "infrastructure"), "--kube-version", "1.32", values=values
        )
        assert done.returncode != 0, acl
        assert f"consul.acl.{next(iter(acl))}" in done.stderr.replace("/", "."), done.stderr


@pytest.mark.parametrize("names", [["sidecar2"], ["orders", "managements"]])
def test_other_names_are_taken(helm: Helm, names: list[str]) -> None:
    rules = dict.fromkeys((f"{name}-reader" for name in names), 'node_prefix "" { policy = "read" }')
    helm.render("infrastructure", {"consul": {"acl": {"enabled": True, "services": names, "tokens": rules}}})


def test_a_server_whose_pod_can_not_start_is_replaced_by_a_rollback(helm: Helm) -> None:
    """In order, Kubernetes waits for the broken pod for ever.

    Source: its documentation of StatefulSets, "Forced rollback".
    """
    sets = [one for one in helm.render("infrastructure", FULL) if one["kind"] == "StatefulSet"]
    assert len(sets) == 3
    assert {one["spec"].get("podManagementPolicy") for one in sets} == {"Parallel"}


def test_every_pod_of_the_release_has_the_label_by_which_policies_let_it_in(helm: Helm) -> None:
    for place, template in templates(helm.render("infrastructure", FULL)):
        assert template["metadata"]["labels"]["app.kubernetes.io/instance"] == "infrastructure", place


def test_a_restore_never_starts_by_itself(helm: Helm) -> None:
    rendered = helm.render("infrastructure", FULL)
    for server in ("postgres", "consul"):
        restore = one(rendered, "CronJob", f"infrastructure-{server}-restore")["spec"]
        assert restore["suspend"] is True
        assert restore["schedule"] == "0 0 31 2 *", "a day that no year has"
        backup = one(rendered, "CronJob", f"infrastructure-{server}-backup")["spec"]
        assert backup["suspend"] is False
        assert backup["concurrencyPolicy"] == "Forbid"


@pytest.mark.parametrize("server", ["postgres", "consul"])
def test_a_variable_of_the_job_names_what_is_restored_and_allows_a_smaller_backup(
    helm: Helm, server: str
) -> None:
    rendered = helm.render("infrastructure", FULL)
    for verb, variable, given, said in (
        ("restore", "FILE", "x.1", "restore x.1"),
        ("restore", "FILE", "", "restore"),
        ("backup", "SMALLER", "yes", "backup --smaller"),
        ("backup", "SMALLER", "", "backup"),
    ):
        job = one(rendered, "CronJob", f"infrastructure-{server}-{verb}")["spec"]["jobTemplate"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert {"name": variable, "value": ""} in container["env"]
        script = container["command"][-1].splitlines()[-1]
        told = script.replace(f"sh /backup/{server}.sh", "echo")
        done = subprocess.run(
            ["sh", "-euc", told], env={variable: given}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == said


def test_backups_lie_on_another_volume_and_outlive_the_release(helm: Helm) -> None:
    rendered = helm.render("infrastructure", FULL)
    for server in ("postgres", "consul"):
        claim = one(rendered, "PersistentVolumeClaim", f"infrastructure-{server}-backups")
        assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_servers_are_those_of_compose() -> None:
    values = yaml.safe_load((CHARTS / "infrastructure" / "values.yaml").read_text())
    compose = yaml.safe_load((CHARTS.parent / "compose" / "docker-compose-enhanced.yml").read_text())
    for name in ("consul", "jaeger", "nats", "postgres"):
        image = values[name]["image"]
        assert f"{image['repository']}:{image['tag']}" == compose["services"][name]["image"]


def test_the_sample_shop_uses_secrets_that_the_release_infra_makes(helm: Helm) -> None:
    made = {
        name for _, name in _made(_plan(helm.render("infrastructure", release="infra"), "infra"), Cluster())
    }
    text = "".join(file.read_text() for file in (CHARTS.parent / "docs/kubernetes/shop").glob("*.yaml"))
    used = set(re.findall(r"infra-[a-z0-9-]+", text))
    assert used
    assert used <= made


@pytest.fixture(scope="module")
def acl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclConsul]:
    consul = AclConsul(tmp_path_factory.mktemp("acl"))
    consul.start()
    yield consul
    consul.stop()


def test_the_tokens_that_consul_is_told_may_do_what_their_rules_say_and_again_is_no_change(
    helm: Helm, acl: AclConsul
) -> None:
    rendered = helm.render("infrastructure", ACL)
    plan = json.loads(one(rendered, "ConfigMap", "infrastructure-consul-acl")["data"]["plan.json"])
    held = _made(_plan(rendered), Cluster())["somewhere", "infrastructure-consul"]

    def secret(file: str) -> str:
        return held[Path(file).name]

    host, port = acl.url.removeprefix("http://").split(":")
    call = consul_tokens.consul(host, int(port), acl.management)
    consul_tokens.led(call)
    said = consul_tokens.ensure(plan, call, secret)
    assert said == "tokens made: agent, dns, gateway, injector, orders, sidecar"
    assert consul_tokens.ensure(plan, call, secret) == "every token was there"
    orders = consul_tokens.consul(host, int(port), held["orders"])
    assert isinstance(orders("GET", "/v1/catalog/services", None), dict)
    sidecar = consul_tokens.consul(host, int(port), held["sidecar"])
    service = {"Node": "pillion-node", "Address": "127.0.0.1", "Service": {"Service": "billing"}}
    assert sidecar("PUT", "/v1/catalog/register", service) is True
    with pytest.raises(OSError, match="403"):
        orders("PUT", "/v1/catalog/register", service)
    with pytest.raises(OSError, match="403"):
        sidecar("PUT", "/v1/catalog/register", {**service, "Node": "somebody"})
    with pytest.raises(OSError, match="403"):
        orders("PUT", "/v1/kv/pillion/orders", "x")
    with pytest.raises(OSError, match="403"):
        orders("GET", "/v1/acl/tokens", None)


def test_a_services_own_token_registers_it_and_no_other_where_no_client_agent_knows_it(
    helm: Helm, acl: AclConsul
) -> None:
    """As the sidecar of `consul.mode: catalog` does: the first pod of a node makes its virtual node."""
    plans = []
    for client in (True, False):
        consul = {"acl": {"enabled": True, "services": ["shipping"]}, "client": {"enabled": client}}
        rendered = helm.render("infrastructure", {"consul": consul})
        plans.append(json.loads(one(rendered, "ConfigMap", "infrastructure-consul-acl")["data"]["plan.json"]))
    assert "pillion-" not in plans[0]["tokens"]["shipping"]["rules"], "no more rights than are needed"
    secret = str(uuid.uuid4())
    host, port = acl.url.removeprefix("http://").split(":")
    management = consul_tokens.consul(host, int(port), acl.management)
    consul_tokens.led(management)
    only = {"tokens": {"shipping": plans[1]["tokens"]["shipping"]}}
    consul_tokens.ensure(only, management, lambda _: secret)
    shipping = consul_tokens.consul(host, int(port), secret)

    def body(node: str, service: str) -> dict[str, Any]:
        check = {"CheckID": f"service:{service}", "ServiceID": service, "Status": "passing", "Name": "x"}
        meta = {"pillion-node": "virtual", "pillion-cluster": "here"}
        own = {"Node": node, "Address": "127.0.0.1", "SkipNodeUpdate": True, "NodeMeta": meta}
        return {**own, "Service": {"Service": service, "Port": 15006}, "Check": check}

    assert shipping("PUT", "/v1/catalog/register", body("pillion-here-n1", "shipping")) is True
    assert shipping("PUT", "/v1/catalog/register", body("pillion-here-n2", "shipping")) is True
    for wrong in (body("pillion-here-n1", "billing"), body("a-node", "shipping")):
        with pytest.raises(OSError, match="403"):
            shipping("PUT", "/v1/catalog/register", wrong)
    gone = {"Node": "pillion-here-n1", "ServiceID": "shipping"}
    assert shipping("PUT", "/v1/catalog/deregister", gone) is True


def test_the_test_pod_asks_each_server_at_its_service(helm: Helm) -> None:
    rendered = helm.render("infrastructure")
    (container,) = one(rendered, "Pod")["spec"]["containers"]
    services = {
        (f"{one['metadata']['name']}.somewhere.svc", port["port"])
        for one in rendered
        if one["kind"] == "Service"
        for port in one["spec"]["ports"]
    }
    for address in container["args"]:
        host, port = address.split("//")[1].split("/")[0].split(":")
        assert (host, int(port)) in services
    assert len(container["args"]) == 4


def test_the_check_of_helm_test_sees_what_answers_and_names_what_does_not(
    shared_consul: backing.Consul, capsys: pytest.CaptureFixture[str]
) -> None:
    at = shared_consul.url
    assert check_addresses.main([f"{at}/v1/status/leader", f"{at}/none=404", at.replace("http", "tcp")]) == 0
    assert check_addresses.main([f"{at}/none"], patience=0) == 1
    assert check_addresses.main([f"tcp://127.0.0.1:{backing.free_port()}"], patience=0) == 1
    assert "/none answered 404" in capsys.readouterr().err


def test_each_volume_of_backups_gets_a_pod_at_the_installation(helm: Helm) -> None:
    """Most storage classes make a volume for its first pod, for which helm waits; a schedule's is hours away."""
    rendered = helm.render("infrastructure", {"consul": {"backup": {"enabled": True}}})
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for job in rendered
        if job["kind"] == "Job"
        for volume in job["spec"]["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    claims = {one["metadata"]["name"] for one in rendered if one["kind"] == "PersistentVolumeClaim"}
    assert used == claims == {"infrastructure-consul-backups", "infrastructure-postgres-backups"}
