"""The admission webhook of ``pillion injector``."""

from typing import Annotated, Literal

from agent.config.declare import Section, about
from agent.config.sections.proxy import LISTEN

OBJECT = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
"""What a Kubernetes object may be called (a DNS subdomain), as far as a pattern can tell."""
OBJECT_FORM = "a name of a Kubernetes object: a to z, 0 to 9, - and ."


class Webhook(Section, frozen=True):
    """The admission webhook of `pillion injector`."""

    listen: Annotated[
        str,
        about(
            "Where the API server reaches the webhook, by TLS: the Service's target port.",
            pattern=LISTEN,
            form="ADDRESS:PORT",
        ),
    ] = "0.0.0.0:15443"
    certificate: Annotated[
        Literal["made", "files"],
        about(
            "made: the injector makes a CA and certificates, replaces them in time and writes the CA into its webhook "
            "configuration. files: somebody else does, such as cert-manager."
        ),
    ] = "made"
    cert_file: Annotated[
        str, about("With `files`: the certificate (PEM), read again when it changes; mostly tls.crt.")
    ] = ""
    key_file: Annotated[str, about("With `files`: its private key (PEM); mostly tls.key.")] = ""
    configuration: Annotated[
        str,
        about(
            "With `made`: the MutatingWebhookConfiguration that gets the CA. The names in the certificate are those "
            "that it gives.",
            pattern=OBJECT,
            form=OBJECT_FORM,
        ),
    ] = "pillion-injector"
    secret: Annotated[
        str,
        about("With `made`: the Secret of the CA, for all replicas.", pattern=OBJECT, form=OBJECT_FORM),
    ] = "pillion-injector-ca"  # noqa: S105 - a name
    lease: Annotated[
        str,
        about(
            "The Lease by which one of the replicas leads what only one may do.",
            pattern=OBJECT,
            form=OBJECT_FORM,
        ),
    ] = "pillion-injector"
    namespace: Annotated[
        str,
        about(
            "The namespace of Secret and Lease. Empty: the injector's own.",
            pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$",
            form="a namespace's name, or empty",
        ),
    ] = ""
    ca_life: Annotated[
        float,
        about(
            "With `made`: how long a CA is valid. At half of it the next one is made, and signs once it is trusted.",
            unit="s",
            ge=60,
        ),
    ] = 31536000.0
    certificate_life: Annotated[
        float,
        about(
            "With `made`: how long a serving certificate is valid; replaced at half of it.", unit="s", ge=30
        ),
    ] = 86400.0
    spread: Annotated[
        float,
        about(
            "How long a stop goes on answering after the injector is not ready any more, until the API server asks "
            "only others. 0: not at all.",
            unit="s",
            ge=0,
        ),
    ] = 5.0
    account_dir: Annotated[str, about("Folder with the service account's token, ca.crt and namespace.")] = (
        "/var/run/secrets/kubernetes.io/serviceaccount"
    )
