"""Clients of AWS's services, by boto3.

Credentials, region and endpoint are found as boto3 finds them: in the environment, in its files, or from the machine's
role. The client sends a request again where that may help, with back-off.
"""

from typing import Any

from shoptalk.core.errors import MissingToolError, ShoptalkError


def client(
    service: str, *, timeout_s: float, attempts: int, extra: str, error: type[ShoptalkError], region: str = ""
) -> Any:
    """boto3's client of a service; `attempts` of each request, with a time-out of its own.

    `MissingToolError` where boto3 is not installed, which `extra` brings; `error` where no region is known.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise MissingToolError(f"boto3 is not installed; run `pip install 'shoptalk[{extra}]'`") from None
    retries: Any = {"max_attempts": attempts, "mode": "standard"}
    config = Config(connect_timeout=timeout_s, read_timeout=timeout_s, retries=retries)
    opened: Any = boto3.client  # one overload for each service of AWS
    try:
        return opened(service, region_name=region or None, config=config)
    except BotoCoreError as trouble:
        raise error(f"{service} of AWS cannot be used: {trouble}; set AWS_REGION or boto3's own files") from None


def errors() -> tuple[type[Exception], type[Exception]]:
    """What a client raises: the service's refusals, with a `response`; and all other trouble."""
    from botocore.exceptions import BotoCoreError, ClientError

    return ClientError, BotoCoreError
