#include "scoring/scorer.h"

namespace foregate::scoring {

Sequence::Sequence(const Scorer& scorer)
    : history(scorer.geometry(), scorer.needs()), memory(scorer.make_memory()) {}

void Sequence::reset() {
  history.reset();
  if (memory) memory->reset();
}

void Sequence::begin_token(int32_t id) {
  history.begin_token(id);
  if (memory) memory->begin_token(history);
}

}  // namespace foregate::scoring
