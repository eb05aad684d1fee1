"""Text in, rows of token ids out: the query once a request, the documents alone, then assembled.

The ids are those of the stock pair encoding, at a fraction of its cost. Only the document is cut to fit.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from serve_app.errors import WeightsInvalid
from serve_app.scorer.packing import Row, TokenIds
from serve_app.scorer.token_cache import TokenCache

MAX_LENGTH = 512
"""Positions of every model in the catalog."""
ROOM = MAX_LENGTH - 3
"""What [CLS] and two [SEP] leave for query and document."""
LONGEST_WORD = 100
"""WordPiece reads a word of more characters as one [UNK], and makes at most one token of a character."""
PREFIX_CHARS = 8_192
"""Characters of a text that are tokenised first. 8 MiB of `!` took 11 s and 3.6 GB when read whole."""
CHUNK = 256
"""Documents that one thread takes at a time, so that a small request does not wait for 10,000 documents."""
KNOWN_WORDS = ("the", "of", "and")


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

    async def rows(self, query: str, documents: Sequence[str], max_tokens_per_doc: int | None) -> list[Row]:
        """One row a document, in their order; off the event loop."""
        loop = asyncio.get_running_loop()
        head = await loop.run_in_executor(self._threads, self._head, query)
        made: list[Row] = []
        for start in range(0, len(documents), CHUNK):
            chunk = documents[start : start + CHUNK]
            made += await loop.run_in_executor(self._threads, self._assemble, head, chunk, max_tokens_per_doc)
        return made

    def rows_now(self, query: str, documents: Sequence[str]) -> list[Row]:
        """The same on the caller's thread, for warm-up."""
        return self._assemble(self._head(query), documents, None)

    def _head(self, query: str) -> TokenIds:
        """`[CLS] query [SEP]`. The query is whole as long as one token of a document fits beside it.

        A longer one gives half of the room away: with nothing of the documents left, all would score alike.
        """
        ids = self._first_ids([query], ROOM)[0]
        if len(ids) >= ROOM:
            ids = ids[: ROOM // 2]
        return np.concatenate(([self._cls], ids, [self._sep]), dtype=np.int32)

    def _assemble(self, head: TokenIds, documents: Sequence[str], max_tokens_per_doc: int | None) -> list[Row]:
        room = MAX_LENGTH - 1 - len(head)
        if max_tokens_per_doc is not None:
            room = min(room, max_tokens_per_doc)
        tail = np.array([self._sep], dtype=np.int32)
        every = self._document_ids(documents)
        return [Row(np.concatenate((head, ids[:room], tail), dtype=np.int32), len(head)) for ids in every]

    def _document_ids(self, documents: Sequence[str]) -> list[TokenIds]:
        """At most ROOM ids of each; those that are not in the cache are made together."""
        known = [self.cache.get(document) for document in documents]
        missing = [document for document, ids in zip(documents, known, strict=True) if ids is None]
        made = self._first_ids(missing, ROOM) if missing else []
        for document, ids in zip(missing, made, strict=True):
            self.cache.put(document, ids)
        fresh = iter(made)
        return [next(fresh) if ids is None else ids for ids in known]

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
        return [np.asarray(ids[:most], dtype=np.int32) for ids in found]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]


def _special(backend: Tokenizer, token: str) -> int:
    found: int | None = backend.token_to_id(token)
    if found is None:
        raise WeightsInvalid(f"the vocabulary has no {token}: it is not a BERT vocabulary")
    return found
