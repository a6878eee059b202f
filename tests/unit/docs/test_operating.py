"""docs/operating.md: what dies, held against the tests that show it; the alerts for which a person is woken."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.unit.docs import table_of
from tests.unit.docs.blocks import ROOT

PAGE = "docs/operating.md"
DIES = [row[0] for row in table_of.rows(PAGE, "what dies")]

REGISTRATION = "acceptance/test_registration.py"
SHOWN_BY = {
    "the service (its main process)": (
        f"{REGISTRATION}::test_the_services_exit_ends_the_whole_with_its_code_and_leaves_no_registration",
        "integration/supervise/test_end.py::test_a_service_that_ends_by_itself_ends_all_in_order_with_its_code",
        "integration/outbox/test_leases.py::test_of_two_relays_one_is_active_and_the_other_takes_over_when_it_stops",
    ),
    "the service hangs or fails its health check": (
        f"{REGISTRATION}::test_a_sick_service_turns_critical_and_comes_back_when_it_recovers",
        "integration/registry/test_registration.py::test_failing_health_is_critical_at_once_and_recovery_is_passing_at_once",
        "integration/registry/test_probe.py::test_an_answer_after_the_timeout_is_a_failure",
        "integration/outbox/inbox/test_delivery.py::test_a_service_that_is_away_is_waited_for",
    ),
    "the agent": (
        f"{REGISTRATION}::test_a_killed_agent_is_back_within_two_seconds_and_traffic_never_notices",
        "integration/supervise/test_lives.py::test_an_agent_killed_twenty_times_is_back_within_two_seconds_and_its_children_are_untouched",
        "integration/registry/test_registration.py::test_an_agent_that_dies_and_restarts_leaves_one_instance_that_never_was_critical",
    ),
    "Envoy": (
        "acceptance/test_mesh.py::test_a_crashed_envoy_is_back_on_the_same_ports_with_the_same_configuration",
        "integration/supervise/test_lives.py::test_a_crashed_envoy_is_started_again_and_the_agent_lives_on",
        "unit/registry/test_gate.py::test_once_open_it_shuts_at_once_for_either_reason_and_opens_again",
    ),
    "an Envoy that someone else runs": ("acceptance/test_external.py::test_a_new_one_gets_everything_again",),
    "the supervisor": (
        "acceptance/test_mesh.py::test_a_killed_supervisor_leaves_nothing_running",
        "integration/supervise/test_end.py::test_a_killed_supervisor_takes_its_children_with_it",
    ),
    "the whole instance, its machine": (
        "acceptance/test_mesh.py::test_of_two_instances_one_is_killed_under_load_and_no_request_fails",
        "integration/registry/test_registration.py::test_the_check_expires_when_nobody_feeds_it_and_stays_passing_while_fed",
        "kubernetes/test_crashes.py::test_a_pod_that_ended_without_a_good_bye_is_gone_from_consul_in_time",
        "integration/outbox/test_shares.py::test_what_a_killed_relay_had_is_relayed_by_the_other_after_its_lease",
    ),
    "Consul, all servers": (
        f"{REGISTRATION}::test_with_consul_away_at_start_everything_else_works_and_registration_follows",
        f"{REGISTRATION}::test_a_stop_while_consul_is_away_ends_in_bounded_time",
        "integration/registry/test_registration.py::test_with_consul_away_the_agent_is_degraded_and_registers_when_it_comes",
        "kubernetes/test_crashes.py::test_consuls_server_killed_leaves_the_mesh_working_and_nobody_behind",
    ),
    "Consul's data": (
        f"{REGISTRATION}::test_a_consul_that_restarts_empty_has_the_service_back_within_fifteen_seconds",
        "integration/registry/test_watcher.py::test_a_consul_that_lost_its_data_leaves_the_last_known_instances_in_use_as_stale",
        "integration/registry/test_watcher.py::test_lost_instances_are_let_go_after_keep_last",
        "compose/test_backups.py::test_a_lost_consul_comes_back_with_its_keys_and_tokens",
    ),
    "Consul's client agent on a machine": (
        "integration/registry/test_out_of_sight.py::test_the_instances_of_a_client_agent_that_died_stay_in_use_until_it_is_back",
        "kubernetes/test_crashes.py::test_the_nodes_client_started_again_gets_all_registrations_back",
    ),
    "the leader of Consul's servers (of three)": (
        "integration/registry/test_catalog_mode.py::test_any_server_takes_the_writes_and_the_death_of_the_leader_is_survived",
        "kubernetes/test_catalog.py::test_a_server_killed_leaves_the_mesh_working",
    ),
    "a Consul token (revoked)": (
        "acceptance/test_rotation.py::test_tokens_are_replaced_under_load_and_no_request_fails",
        "integration/registry/test_token_rotation.py::test_known_instances_stay_in_use_and_changes_are_seen_with_the_new_token",
    ),
    "PostgreSQL": (
        "integration/outbox/test_shares.py::test_killed_backends_are_no_more_than_a_pause",
        "integration/outbox/test_chaos.py::test_under_every_kind_of_fault_nothing_is_lost_invented_or_inverted",
        "integration/outbox/inbox/test_crash.py::test_a_database_that_goes_between_answer_and_record_costs_no_second_call",
    ),
    "PostgreSQL's primary, a standby takes over": (
        "integration/outbox/test_failover.py::test_a_relay_finds_the_new_primary_by_itself_and_loses_nothing_that_it_has",
    ),
    "the broker": (
        "integration/outbox/test_history.py::test_a_broker_that_stops_for_10_seconds_loses_nothing",
        "integration/outbox/brokers/test_conformance.py::test_a_server_that_restarts_amid_a_batch_loses_nothing",
    ),
    "a relay": (
        "integration/outbox/test_shares.py::test_what_a_killed_relay_had_is_relayed_by_the_other_after_its_lease",
        "integration/outbox/test_history.py::test_a_relay_killed_at_random_points_loses_and_inverts_nothing",
    ),
    "Jaeger, or the collector": (
        "acceptance/test_traces.py::test_a_collector_that_takes_no_spans_costs_no_request_and_does_not_fill_the_log",
    ),
    "a gateway": (
        "acceptance/test_gateway.py::test_of_two_gateways_one_may_go",
        "acceptance/test_machines.py::test_gateways_on_two_machines_do_not_need_each_other",
    ),
    "the agent of a gateway": (
        "integration/proxy_plan/test_gateway_tls.py::test_an_envoy_goes_on_while_the_agent_is_away",
    ),
    "a token issuer of the gateway": (
        "integration/proxy_plan/test_gateway_jwt.py::test_an_issuer_that_is_away_does_not_hold_up_what_is_public",
        "integration/proxy_plan/test_gateway_jwt.py::test_fetched_keys_rotate",
    ),
    "the injector (Kubernetes)": (
        "kubernetes/test_webhook.py::test_no_review_fails_when_a_replica_is_deleted",
        "kubernetes/test_webhook.py::test_a_killed_process_is_started_again_with_the_same_certificates",
    ),
    "the API server (Kubernetes)": (
        "kubernetes/test_injector.py::test_a_restart_of_the_api_server_is_survived",
        "integration/injector/test_process.py::test_with_the_api_server_away_known_namespaces_go_on_and_others_wait",
    ),
}
"""What shows each row of the table, below ``tests/``."""


@pytest.mark.parametrize("row", DIES)
def test_a_row_of_what_dies_is_shown_by_tests_that_exist(row: str) -> None:
    assert SHOWN_BY[row]
    for one in SHOWN_BY[row]:
        path, _, name = one.partition("::")
        assert name in names(ROOT / "tests" / path), one


def test_no_row_was_taken_out_of_the_page_alone() -> None:
    assert set(SHOWN_BY) == set(DIES)


def test_the_page_names_all_critical_alerts_and_no_other() -> None:
    rules = yaml.safe_load((ROOT / "compose/prometheus/rules.yml").read_text(encoding="utf-8"))
    critical = {
        rule["alert"]
        for group in rules["groups"]
        for rule in group["rules"]
        if rule["labels"]["severity"] == "critical"
    }
    named = {
        alert for row in table_of.rows(PAGE, "critical alerts") for alert in re.findall(r"`(\w+)`", row[0])
    }
    assert named == critical


@cache
def names(file: Path) -> frozenset[str]:
    """The test functions of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))
