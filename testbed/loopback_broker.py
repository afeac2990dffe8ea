"""amqtt's broker with the topic rule asked at once instead of through three tasks a message.

The plugins stay loaded and would do alone. But amqtt suspends while it asks them, in the middle of
walking its subscriptions: a client that subscribes just then breaks the walk, and the message is
lost. Asked directly, nothing suspends; it is also half of the broker's work at full speed.

And who connects is asked for his password before any session of the name he gives is touched.
"""

from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import MQTTError
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session
from amqtt.utils import gen_client_id

from testbed.acl_plugin import TopicPlugin


class LoopbackBroker(Broker):  # type: ignore[misc]  # amqtt ships no types
    """The embedded broker of one laptop."""

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        rules = self.plugins_manager.get_plugin(TopicPlugin.__name__)
        if not isinstance(rules, TopicPlugin):
            return False
        return await rules.topic_filtering(session=session, topic=topic, action=action)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Send what was retained to who may read it: amqtt sends it to whoever connects."""
        if await self._topic_filtering(session, subscription[0], Action.SUBSCRIBE):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def _initialize_client_session(
        self, reader: Any, writer: Any, _address: str, _port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Read a CONNECT; a stranger gets a name of his own, under which he is then refused."""
        try:
            handler, session = await BrokerProtocolHandler.init_from_connect(
                reader, writer, self.plugins_manager
            )
        except MQTTError:
            await writer.close()
            raise
        if await self._authenticate(session, None):
            await self._delete_session(session.client_id)  # sessions are clean here, all of them
        else:
            session.client_id = gen_client_id()
        session.parent = 0
        return handler, session

    async def _handle_client_session(
        self, reader: Any, writer: Any, client_session: Session, *rest: Any
    ) -> None:
        """Serve a client; of one who was refused nothing stays."""
        try:
            await super()._handle_client_session(reader, writer, client_session, *rest)
        finally:
            if client_session.client_id != client_session.username:
                self._sessions.pop(client_session.client_id, None)
