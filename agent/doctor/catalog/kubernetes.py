"""Findings about a cluster."""

from agent.doctor.catalog.declare import Entry, Part

KUBERNETES = Part(
    "Kubernetes",
    "With `--kubernetes`, instead of this machine.",
    (
        Entry(
            "kubernetes.version",
            "the API server",
            "it can't be asked, or has no native sidecars",
            "",
            "upgrade the cluster",
        ),
        Entry("kubernetes.nodes", "the nodes' kubelets", "some are too old", "", "upgrade these nodes"),
        Entry(
            "webhook.present",
            "the injector's webhook configuration",
            "there is none",
            "",
            "install the chart",
        ),
        Entry(
            "webhook.failure-policy",
            "its failure policy",
            "",
            "pods start without a sidecar while the injector is away",
            "Fail, as the chart has it",
        ),
        Entry(
            "webhook.ca",
            "the CA that the API server trusts",
            "there is none, or none that is valid",
            "it ends soon and was not replaced",
            "the injector's log",
        ),
        Entry(
            "webhook.ca-secret",
            "the CA that signs",
            "it is not the one that is trusted, or there is none",
            "",
            "see who writes the `caBundle`",
        ),
        Entry(
            "webhook.certificate",
            "the certificate that the injector was given",
            "it is not valid",
            "it ends soon",
            "as for the CA",
        ),
        Entry(
            "webhook.service",
            "its Service",
            "nobody answers behind it",
            "only one replica does",
            "two replicas",
        ),
        Entry(
            "injection.namespaces",
            "who asked for injection",
            "",
            "nobody, or by a word that opts nobody in",
            "the label",
        ),
        Entry(
            "injection.missing",
            "pods that are to have a sidecar",
            "",
            "some have none: they are older than their namespace's label, or than the webhook",
            "make them anew",
        ),
        Entry("injection.annotation", "pods that ask by an annotation", "", "nobody hears it", "a label"),
        Entry(
            "sidecars.native",
            "the sidecars' form",
            "some are ordinary containers, or gone",
            "",
            "make them anew",
        ),
        Entry(
            "sidecars.ready",
            "the sidecars' state",
            "some are not ready, with Kubernetes' reason",
            "",
            "their logs",
        ),
        Entry(
            "sidecars.version",
            "the sidecars' images",
            "",
            "some are older than the injector",
            "`rollout restart`",
        ),
        Entry(
            "jobs.end", "Jobs whose containers have ended", "their pods do not end", "", "the sidecar's log"
        ),
        Entry(
            "services.bypass",
            "Services",
            "",
            "they lead past the sidecar",
            "`targetPort: 15006`, a network policy",
        ),
        Entry(
            "consul.mode",
            "how sidecars register",
            "through an address behind which agents take turns",
            "through one server that stands alone",
            "`consul.address` by node, or catalogue mode",
        ),
        Entry(
            "consul.agents", "Consul's client on each node", "it is missing somewhere", "", "its DaemonSet"
        ),
        Entry("consul.sweep", "who removes what dead pods left", "nobody does", "", "the injector's pods"),
        Entry(
            "consul.service",
            "Consul's Service",
            "nobody answers behind it",
            "two servers: none may be lost",
            "three",
        ),
    ),
)
