"""A few keys change, and every other line of a person's file stays as it was."""

import tomllib

from edge.config import EXAMPLE
from messages.configedit import set_in_array, set_keys

BROKER = {"host": "hub.local", "port": 8883, "tls": {"ca": "tls/ca.pem", "key": "k"}}


def test_keys_of_a_table_are_replaced_and_all_else_stays():
    before = EXAMPLE.splitlines()
    after = set_keys(EXAMPLE, "broker", BROKER, ("password_file",)).splitlines()
    at = before.index("[broker]") + 1
    assert after[: at + 3] == [
        *before[:at],
        'host = "hub.local"',
        "port = 8883",
        'tls = { ca = "tls/ca.pem", key = "k" }',
    ]
    assert after[at + 3 :] == before[at + 3 :]


def test_a_table_that_is_not_there_is_added_behind_everything():
    text = 'node = "a"\n\n[[meter]]\nmeter_id = "m"\n'
    after = set_keys(text, "broker", BROKER)
    assert after.startswith(text)
    assert tomllib.loads(after)["broker"] == BROKER
    assert tomllib.loads(after)["meter"] == [{"meter_id": "m"}]


def test_a_key_that_is_a_table_of_its_own_goes_with_its_lines():
    text = (
        '[broker]\nport = 1\n# mine\n[broker.tls]\nca = """\nx"""\ncert = "y"\n'
        "[[meter]]\na = [\n1,\n]\n"
    )
    after = set_keys(text, "broker", {"tls": {"ca": "z"}})
    assert tomllib.loads(after) == {
        "broker": {"tls": {"ca": "z"}, "port": 1},
        "meter": [{"a": [1]}],
    }
    assert "# mine" in after


def test_keys_of_other_tables_with_the_same_name_are_left_alone():
    text = "port = 1\n[web]\nport = 2\n[broker]\nport = 3\n[[broker-x]]\nport = 4\n"
    after = tomllib.loads(set_keys(text, "broker", {"port": 9}))
    assert (after["port"], after["web"]["port"], after["broker"]["port"]) == (1, 2, 9)
    assert after["broker-x"] == [{"port": 4}]


def test_texts_are_escaped():
    text = set_keys("", "broker", {"host": 'a"\n\\b'})
    assert tomllib.loads(text) == {"broker": {"host": 'a"\n\\b'}}


def test_writing_twice_changes_nothing_more():
    once = set_keys(EXAMPLE, "broker", BROKER, ("password_file",))
    assert set_keys(once, "broker", BROKER, ("password_file",)) == once


def test_one_of_many_tables_gets_a_key_and_all_else_stays():
    after = set_in_array(EXAMPLE, "meter", 1, "key", "keys/other.pem")
    wanted = tomllib.loads(EXAMPLE)
    wanted["meter"][1]["key"] = "keys/other.pem"
    assert tomllib.loads(after) == wanted
    gone = [line for line in EXAMPLE.splitlines() if line not in after.splitlines()]
    assert gone == ['key = "keys/dep1-load.pem"']


def test_a_key_before_every_table_is_written_or_written_anew():
    once = set_in_array(EXAMPLE, "", 0, "key", "tpm:0x81000101")
    assert tomllib.loads(once) == {**tomllib.loads(EXAMPLE), "key": "tpm:0x81000101"}
    again = set_in_array(once, "", 0, "key", "other.pem")
    assert tomllib.loads(again) == {**tomllib.loads(EXAMPLE), "key": "other.pem"}
    assert again.endswith(EXAMPLE)


def test_a_table_that_is_not_there_is_left_out():
    assert set_in_array(EXAMPLE, "meter", 9, "key", "x") == EXAMPLE
