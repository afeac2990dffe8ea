"""The two amqtt plugins of the embedded broker: who may connect, and who may use which topic.

amqtt hands them sessions and topics; the rules themselves are `testbed/acl.py`.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from testbed.acl import may_publish, may_read


class PasswordPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Lets a client in by its password; its client id is its user name, its session clean."""

    async def authenticate(self, *, session: Session) -> bool:
        """Return whether the CONNECT is one of ours, and say in the log why not."""
        refusal = self._refusal(session)
        if refusal:
            self.context.logger.warning("refused %r: %s", session.client_id, refusal)
        return not refusal

    def _refusal(self, session: Session) -> str:
        expected = self.config.sha256_by_user.get(session.username or "")
        given = hashlib.sha256((session.password or "").encode()).hexdigest()
        if not hmac.compare_digest(given, expected or "0" * 64):
            return "unknown user or wrong password"
        if session.client_id != session.username:
            return f"client id must be the user name, {session.username!r}"
        if not session.clean_session:
            return "only clean sessions: what was missed is resent by the edge, not by the broker"
        return ""

    @dataclass
    class Config:
        """Users and the SHA-256 of their random passwords, in hexadecimal."""

        sha256_by_user: dict[str, str] = field(default_factory=dict)


class TopicPlugin(BaseTopicPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Lets a user publish, subscribe and receive by `testbed/acl.py`, and nothing else."""

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        """Return whether the session's user may do this with the topic or filter."""
        if session is None or topic is None:
            return False
        user, microgrid = session.username or "", self.config.microgrid
        if action == Action.PUBLISH:
            return may_publish(user, topic, microgrid)
        return may_read(user, topic, microgrid)

    @dataclass
    class Config:
        """The one microgrid whose topics exist on this broker."""

        microgrid: str = ""
