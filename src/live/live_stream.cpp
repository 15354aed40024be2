#include "live/live_stream.h"

#include <algorithm>

#include "base/error.h"
#include "predict/texts/routed_text.h"

namespace foregate::live {

LiveStream::LiveStream(const LiveTexts& texts, const LiveStreamOptions& options)
    : texts_(texts),
      options_(options),
      batches_of_pass_(LiveReader::num_batches(texts, trace::Split::kTrain)) {
  if (batches_of_pass_ == 0) {
    throw DataError("the training split has no token; name more texts with --texts or --data");
  }
  sample_validation(options.validation_tokens);
}

void LiveStream::sample_validation(int64_t tokens) {
  // Whole texts, spread over the split, about as many tokens as wanted.
  const int64_t total = texts_.index().tokens_of(trace::Split::kValidation);
  int64_t seen = 0;
  int64_t taken = 0;
  LiveReader reader(texts_, trace::Split::kValidation);
  for (auto batch = reader.next(); !batch.empty(); batch = reader.next()) {
    std::vector<LiveTexts::Waiting> chosen;
    for (LiveTexts::Waiting& text : batch) {
      const auto size = static_cast<int64_t>(text.ids.size());
      seen += size;
      if ((taken + size) * total > seen * tokens) continue;
      taken += size;
      chosen.push_back(std::move(text));
    }
    if (chosen.empty()) continue;
    for (predict::RoutedText& text :
         texts_.route(chosen, options_.features, /*states_stay=*/true)) {
      validation_.push_back(std::move(text));
    }
  }
}

std::vector<predict::RoutedText> LiveStream::next() {
  if (!reader_) {
    reader_ = std::make_unique<LiveReader>(texts_, trace::Split::kTrain);
    reader_->skip(end_ % batches_of_pass_);
  }
  auto batch = reader_->next();
  if (batch.empty()) {
    reader_ = std::make_unique<LiveReader>(texts_, trace::Split::kTrain);
    batch = reader_->next();
  }
  ++end_;
  return texts_.route(batch, options_.features, /*states_stay=*/true);
}

void LiveStream::advance_to(double share) {
  const int64_t all = batches_of_pass_ * options_.passes;
  const int64_t held = std::min(options_.batches, batches_of_pass_);
  const int64_t end = held + static_cast<int64_t>(share * static_cast<double>(all - held));
  if (end <= end_) return;
  if (end_ == 0 && end > held) {
    end_ = end - held;  // A training that goes on: what it would have dropped by now is not routed.
  }
  while (end_ < end) {
    batches_.push_back(next());
    if (static_cast<int64_t>(batches_.size()) > held) batches_.pop_front();
  }
  texts_at_hand_.clear();
  for (const auto& batch : batches_) {
    texts_at_hand_.insert(texts_at_hand_.end(), batch.begin(), batch.end());
  }
}

}  // namespace foregate::live
