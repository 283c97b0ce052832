"""CVAT interactor as a nuclio function; `function.yaml` beside this file deploys it."""

import json
import os
from typing import Any

import interseg
from annotate.interactor import Interactor, answer_cvat
from interseg.errors import InputError
from interseg.inference.model import Model


def init_context(context: Any) -> None:
    """Load the network that CHECKPOINT names, once for all requests."""
    model = interseg.load(os.environ.get("CHECKPOINT", "interseg-s"))
    if not isinstance(model, Model):
        raise InputError("CHECKPOINT is an export; give its run")
    context.user_data.model = Interactor(model)


def handler(context: Any, event: Any) -> Any:
    """Answer a request.

    Its `image`, `pos_points`, `neg_points` and `threshold` give `points` and `mask`.
    """
    try:
        data = event.body if isinstance(event.body, dict) else json.loads(event.body)
        if not isinstance(data, dict):
            raise InputError("the body is something else than a JSON object")
        answer, status = answer_cvat(context.user_data.model, data), 200
    except (InputError, ValueError) as error:
        answer, status = {"error": " ".join(str(error).split())}, 400
    return context.Response(
        body=json.dumps(answer), headers={}, content_type="application/json", status_code=status
    )
