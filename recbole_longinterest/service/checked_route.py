"""A route that checks all its parameters in one step, for frequent requests."""

from collections.abc import Callable, Coroutine
from typing import Any, get_args, get_origin

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError, create_model

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class CheckedRoute(APIRoute):
    """Reads path and query with one pydantic model, which is made from the endpoint's declaration.

    FastAPI checks each parameter separately, which takes an eighth of the time of a recommendation. The OpenAPI
    document and the errors do not change. The endpoint may have only path and query parameters, its dependencies may
    take only the request, and it must return a response.
    """

    def get_route_handler(self) -> Handler:
        """Return the function that answers a request."""
        fields = {"path": self.dependant.path_params, "query": self.dependant.query_params}
        where = {field.alias: part for part, those in fields.items() for field in those}
        declared: dict[str, Any] = {
            field.alias: (field.field_info.annotation, field.field_info) for those in fields.values() for field in those
        }
        lists = {
            name
            for name, (kind, _) in declared.items()
            if any(get_origin(part) is list for part in (kind, *get_args(kind)))
        }
        parameters = create_model("Parameters", **declared)
        checks = [dependency.call for dependency in self.dependant.dependencies if dependency.call is not None]
        endpoint = self.endpoint

        async def answer(request: Request) -> Response:
            for check in checks:
                await check(request)
            query = request.query_params
            given: dict[str, Any] = {name: query.getlist(name) if name in lists else query[name] for name in query}
            try:
                found = parameters.model_validate({**given, **request.path_params})
            except ValidationError as error:
                errors = [
                    {**each, "loc": (where[str(each["loc"][0])], *each["loc"])}
                    for each in error.errors(include_url=False)
                ]
                raise RequestValidationError(errors) from error
            return await endpoint(**{name: getattr(found, name) for name in where})

        return answer
