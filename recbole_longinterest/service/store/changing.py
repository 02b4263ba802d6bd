"""Parts of transactions: change documents, and notify other processes of changes."""

from sqlalchemy import Connection, Engine, insert, select, update

from recbole_longinterest.service.store.database import replace_rows
from recbole_longinterest.service.store.records import AnswerOnce, ChangeDocument, OnceAnswered, RequestChanged
from recbole_longinterest.service.store.tables import changes, documents, requests

KEY_REUSED = "This Idempotency-Key was used for another body. Use a new key for each request."


def changed(connection: Connection, name: str) -> int:
    """Increase the change counter of a name, which other processes watch; return it, 0 for an unknown name."""
    connection.execute(update(changes).where(changes.c.name == name).values(number=changes.c.number + 1))
    return int(connection.scalar(select(changes.c.number).where(changes.c.name == name)) or 0)


def keep_document(connection: Connection, engine: Engine, name: str, content: str) -> None:
    """Save a document, and replace the previous one of that name."""
    connection.execute(replace_rows(engine, documents, "name"), [{"name": name, "content": content}])
    changed(connection, name)


def change_document(connection: Connection, engine: Engine, job: ChangeDocument) -> str:
    """Change a document; return its new text."""
    before = connection.scalar(select(documents.c.content).where(documents.c.name == job.name))
    content = job.change(before)
    keep_document(connection, engine, job.name, content)
    return content


def answer_once(connection: Connection, engine: Engine, job: AnswerOnce) -> OnceAnswered | RequestChanged:
    """Change a document and save the answer, unless the request was already answered."""
    query = select(requests.c.body, requests.c.answer).where(requests.c.key == job.request.key)
    for body, answer in connection.execute(query):
        return OnceAnswered(answer, None) if bytes(body) == job.request.body else RequestChanged(KEY_REUSED)
    content = change_document(connection, engine, job.change)
    answer = job.answer(content)
    row = {"key": job.request.key, "body": job.request.body, "answer": answer, "created": job.created}
    connection.execute(insert(requests), [row])
    return OnceAnswered(answer, content)
