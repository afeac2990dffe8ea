"""amqtt's broker with the topic rule asked at once instead of through three tasks a message.

The plugins stay loaded and would do alone. But amqtt suspends while it asks them, in the middle of
walking its subscriptions: a client that subscribes just then breaks the walk, and the message is
lost. Asked directly, nothing suspends; it is also half of the broker's work at full speed.
"""

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.session import Session

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
