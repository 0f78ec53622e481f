"""A form that was refused: shown again where it stands on its page, with the reason and what was typed."""

from __future__ import annotations

from dataclasses import dataclass, field

from coredis.exceptions import AuthenticationError, AuthorizationError, ConnectionError

from consumers.console.access.forms import Form

__all__ = ["NOTHING_REFUSED", "Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """form: which of the page's forms it was. text: why, in the server's words if it was the server. status: HTTP's."""

    form: str
    text: str
    typed: Form = field(default_factory=dict)
    status: int = 400

    @classmethod
    def of(cls, form: str, error: Exception, typed: Form) -> Refusal:
        """Return what to show for an error. Raises it again if it is not about the form but about the connection."""
        if isinstance(error, AuthenticationError | ConnectionError):
            raise error
        return cls(form, str(error), typed, 403 if isinstance(error, AuthorizationError) else 400)

    def why(self, form: str) -> str:
        """Return why this form was refused; nothing if it was not."""
        return self.text if form == self.form else ""

    def value(self, form: str, name: str, otherwise: str = "") -> str:
        """Return what a field of a form shows: what was typed there if the form was refused."""
        return self.typed.get(name, otherwise).replace("\r\n", "\n") if form == self.form else otherwise


NOTHING_REFUSED = Refusal("", "", status=200)
