"""How the student, as it is now, orders the candidates of held-out queries."""

import numpy as np
import torch

from serve_app.scorer.heads import CrossEncoder
from serve_app.scorer.tokenizer import MAX_LENGTH
from training.lessons import TOKENS, Lessons, groups
from training.quality import Agreement, Scores, agreement
from training.tokens import Gatherer


class Examination:
    """Held-out lists with the teacher's scores, and where the student is."""

    def __init__(self, lessons: Lessons, gatherer: Gatherer) -> None:
        self._lessons = lessons
        self._gatherer = gatherer
        owners = np.repeat(lessons.queries, lessons.sizes)
        split = groups(gatherer.texts.lengths(owners, lessons.passages, MAX_LENGTH), TOKENS[gatherer.device])
        self._order = np.argsort(np.concatenate(split))
        self._parts = [(owners[some], lessons.passages[some]) for some in split]

    def agreement(self, student: CrossEncoder) -> Agreement:
        """Of the student, whose weights stay as they are, with the teacher."""
        return agreement(self._lists(self._scores(student)), self._lists(self._lessons.logits))

    def _scores(self, student: CrossEncoder) -> np.ndarray:
        """fp32 [pairs], in fp32 throughout."""
        student.eval()
        with torch.inference_mode():
            parts = [self._gatherer.rows(*part, MAX_LENGTH) for part in self._parts]
            logits = torch.cat([student(part.ids, part.segments, part.mask) for part in parts])
        scores: np.ndarray = logits.cpu().numpy()[self._order]
        return scores

    def _lists(self, scores: np.ndarray) -> Scores:
        return [each.tolist() for each in np.split(scores, self._lessons.starts[1:-1])]
