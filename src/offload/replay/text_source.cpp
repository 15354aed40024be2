#include "offload/replay/text_source.h"

#include <utility>

namespace foregate::offload {

TraceTexts::TraceTexts(const trace::TraceDirectory& directory, std::vector<bool> chosen)
    : directory_(directory), chosen_(std::move(chosen)) {}

bool TraceTexts::next(trace::Trace& text) {
  while (true) {
    if (!reader_) {
      if (shard_ == directory_.manifest().shards.size()) return false;
      reader_ = directory_.open_shard(shard_++);
    }
    if (!reader_->next(text)) {
      reader_.reset();
    } else if (chosen_.empty() || chosen_[text_++]) {
      return true;
    }
  }
}

void TraceTexts::rewind() {
  reader_.reset();
  shard_ = 0;
  text_ = 0;
}

}  // namespace foregate::offload
