"""Text in, rows of token ids out: the query once a request, the documents alone, then assembled.

The ids are those of the stock pair encoding, at a fraction of its cost. Only the document is cut to fit.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from serve_app.errors import InputTooLong, WeightsInvalid
from serve_app.scorer.chunks import capacity, chunks, require_fit
from serve_app.scorer.packing import Row, TokenIds
from serve_app.scorer.token_cache import TokenCache
from serve_app.scoring import Reading

MAX_LENGTH = 512
"""Positions of every model in the catalog."""
ROOM = MAX_LENGTH - 3
"""What [CLS] and two [SEP] leave for query and document."""
LONGEST_WORD = 100
"""WordPiece reads a word of more characters as one [UNK], and makes at most one token of a character."""
PREFIX_CHARS = 8_192
"""Characters of a text that are tokenised first. 8 MiB of `!` took 11 s and 3.6 GB when read whole."""
COUNTED = 10_000
"""Tokens that are looked at to say how long a document is that must not be cut."""
CHUNK = 256
"""Documents that one thread takes at a time, so that a small request does not wait for 10,000 documents."""
KNOWN_WORDS = ("the", "of", "and")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of a request; row i is of the document at `documents[i]`, and every document has one."""

    rows: list[Row]
    documents: list[int]


class PairTokenizer:
    """Makes rows from one query and its documents, on threads of its own."""

    def __init__(self, backend: Tokenizer) -> None:
        # Published tokenizer.json files carry padding to 512 and truncation of the pair.
        backend.no_padding()
        backend.no_truncation()
        self._backend = backend
        self._cls, self._sep = (_special(backend, token) for token in ("[CLS]", "[SEP]"))
        self.pad_id = _special(backend, "[PAD]")
        self.cache = TokenCache()
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokenizer")

    @classmethod
    def from_folder(cls, folder: Path) -> "PairTokenizer":
        """Read `tokenizer.json`, or `vocab.txt` for an uncased WordPiece; raises WeightsInvalid.

        The vocabulary has to know common words: an empty one would read every word as [UNK] and fail nowhere
        (transformers 5.23 makes such a one of `BertTokenizerFast(vocab_file=...)`).
        """
        try:
            if (file := folder / "tokenizer.json").is_file():
                backend = Tokenizer.from_file(str(file))
            else:
                # Accents go with the letter case, and CJK is split, as in BERT's own tokenizer.
                wordpiece = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
                backend = wordpiece._tokenizer
        except Exception as error:  # the library raises plain Exception for every unreadable file
            raise WeightsInvalid(f"the tokenizer of {folder.name} cannot be read: download the folder again") from error
        if lost := [word for word in KNOWN_WORDS if backend.token_to_id(word) is None]:
            raise WeightsInvalid(f"the vocabulary of {folder.name} does not know {', '.join(lost)}: it is not its own")
        return cls(backend)

    async def pairs(self, queries: Sequence[str], documents: Sequence[str], reading: Reading) -> Pairs:
        """One row or more a document, in their order; off the event loop. One query for all, or one for each.

        Raises InputTooLong where nothing may be cut.
        """
        loop = asyncio.get_running_loop()
        heads = await loop.run_in_executor(self._threads, self._heads, queries, reading.truncate)
        made = Pairs([], [])
        for start in range(0, len(documents), CHUNK):
            chunk = documents[start : start + CHUNK]
            beside = [heads[0]] * len(chunk) if len(heads) == 1 else heads[start : start + CHUNK]
            added = await loop.run_in_executor(self._threads, self._assemble, beside, chunk, reading, start)
            made.rows.extend(added.rows)
            made.documents.extend(added.documents)
        return made

    def rows_now(self, query: str, documents: Sequence[str]) -> list[Row]:
        """One row a document, on the caller's thread: for warm-up and measurements."""
        return self._assemble(self._heads([query], True) * len(documents), documents, Reading(), 0).rows

    def _heads(self, queries: Sequence[str], truncate: bool) -> list[TokenIds]:
        """`[CLS] query [SEP]` of each. A query is whole as long as one token of a document fits beside it.

        A longer one gives half of the room away: with nothing of the documents left, all would score alike.
        """
        different = list(dict.fromkeys(queries))
        made: dict[str, TokenIds] = {}
        for query, ids in zip(different, self._first_ids(different, ROOM), strict=True):
            if len(ids) >= ROOM:
                if not truncate:
                    raise InputTooLong(
                        f"the query has at least {ROOM} tokens: shorten it, or allow truncation", "query"
                    )
                ids = ids[: ROOM // 2]
            made[query] = np.concatenate(([self._cls], ids, [self._sep]), dtype=np.int32)
        return [made[query] for query in queries]

    def _assemble(self, heads: Sequence[TokenIds], documents: Sequence[str], reading: Reading, first: int) -> Pairs:
        """The rows of documents, of which the first is the request's `first`."""
        widest = MAX_LENGTH - 1 - min(map(len, heads), default=0)
        most = ROOM
        if not reading.truncate:
            most = max(COUNTED, capacity(widest, reading))
        elif reading.max_chunks_per_doc > 1:
            most = capacity(widest, reading)
        tail = np.array([self._sep], dtype=np.int32)
        made = Pairs([], [])
        for place, (head, ids) in enumerate(zip(heads, self._document_ids(documents, most), strict=True), first):
            room = MAX_LENGTH - 1 - len(head)
            if not reading.truncate:
                require_fit(place, len(ids), room, reading, most)
            for part in chunks(len(ids), room, reading):
                made.rows.append(Row(np.concatenate((head, ids[part], tail), dtype=np.int32), len(head)))
                made.documents.append(place)
        return made

    def _document_ids(self, documents: Sequence[str], most: int) -> list[TokenIds]:
        """At most `most` ids of each; those that are not in the cache, which keeps ROOM, are made together."""
        if most > ROOM:
            return self._first_ids(documents, most)
        known = self.cache.find(documents)
        missing = [document for document, (_, ids) in zip(documents, known, strict=True) if ids is None]
        made = self._first_ids(missing, ROOM) if missing else []
        self.cache.keep(zip((key for key, ids in known if ids is None), made, strict=True))
        fresh = iter(made)
        return [next(fresh) if ids is None else ids for _, ids in known]

    def _first_ids(self, texts: Sequence[str], most: int) -> list[TokenIds]:
        """The first `most` ids of each text, reading no more of a long text than they need.

        Cutting a text changes the ids of its last word at most, so the ids before that word are the whole text's.
        """
        shown = PREFIX_CHARS
        found = self._encode([text[:shown] for text in texts])
        pending = [i for i, text in enumerate(texts) if len(text) > shown and len(found[i]) < most + LONGEST_WORD]
        while pending:
            shown *= 4
            for i in pending:
                found[i] = self._encode([texts[i][:shown]])[0]
            pending = [i for i in pending if len(texts[i]) > shown and len(found[i]) < most + LONGEST_WORD]
        return [np.fromiter(ids, np.int32, min(len(ids), most)) for ids in found]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]


def _special(backend: Tokenizer, token: str) -> int:
    found: int | None = backend.token_to_id(token)
    if found is None:
        raise WeightsInvalid(f"the vocabulary has no {token}: it is not a BERT vocabulary")
    return found
