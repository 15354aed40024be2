#include "engine/experts/live_foresight.h"

#include <algorithm>

namespace foregate::engine {

LiveForesight::LiveForesight(const trace::Geometry& geometry, const MakeForesight& make,
                             int64_t sequences)
    : geometry_(geometry), foresight_(make(sequences)), texts_(static_cast<size_t>(sequences)) {}

void LiveForesight::begin_step(const StepBatch& batch, std::span<const int64_t> past,
                               int64_t number, std::vector<offload::Guess>& guesses) {
  parts_.clear();
  const size_t decisions = static_cast<size_t>(geometry_.num_moe_layers) * geometry_.top_k;
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    const auto sequence = static_cast<size_t>(batch.sequences[i]);
    if (sequence >= texts_.size()) continue;
    Text& text = texts_[sequence];
    if (past[i] == 0) {
      text.told = {};
      text.followed = true;
    } else if (text.told.num_tokens() != past[i]) {
      text.followed = false;
    }
    if (!text.followed) continue;
    const auto first = static_cast<size_t>(batch.cu_seqlens[i]);
    const auto end = static_cast<size_t>(batch.cu_seqlens[i + 1]);
    text.told.token_ids.insert(text.told.token_ids.end(),
                               batch.token_ids.begin() + static_cast<std::ptrdiff_t>(first),
                               batch.token_ids.begin() + static_cast<std::ptrdiff_t>(end));
    text.told.experts.resize(text.told.token_ids.size() * decisions);
    offload::Step step;
    step.number = number;
    step.sequence = static_cast<int32_t>(sequence);
    step.text = &text.told;
    step.first_token = static_cast<int32_t>(past[i]);
    step.num_tokens = static_cast<int32_t>(end - first);
    step.prompt = step.num_tokens > 1 || past[i] == 0;
    step.begins_text = past[i] == 0;
    if (!step.prompt) foresight_->at_step(step, guesses);
    parts_.push_back({&text, step, first});
  }
}

void LiveForesight::at_layer(int layer, std::vector<offload::Guess>& guesses) {
  for (const Part& part : parts_) {
    if (!part.step.prompt) foresight_->at_layer(part.step, layer, guesses);
  }
}

void LiveForesight::at_router(int layer, std::span<const int64_t> chosen,
                              std::vector<offload::Guess>& guesses) {
  const auto k = static_cast<size_t>(geometry_.top_k);
  for (const Part& part : parts_) {
    for (size_t i = 0; i < static_cast<size_t>(part.step.num_tokens); ++i) {
      const size_t token = static_cast<size_t>(part.step.first_token) + i;
      const size_t decision =
          token * static_cast<size_t>(geometry_.num_moe_layers) + static_cast<size_t>(layer);
      std::ranges::transform(
          chosen.subspan((part.first_row + i) * k, k),
          part.text->told.experts.begin() + static_cast<std::ptrdiff_t>(decision * k),
          [](int64_t expert) { return static_cast<uint16_t>(expert); });
    }
    if (!part.step.prompt) foresight_->at_router(part.step, layer, guesses);
  }
}

void LiveForesight::end_step() {
  std::vector<offload::Guess> none;
  for (const Part& part : parts_) {
    if (!part.step.prompt) continue;
    foresight_->at_step(part.step, none);
    for (int layer = 0; layer < geometry_.num_moe_layers; ++layer) {
      foresight_->at_router(part.step, layer, none);
    }
  }
  parts_.clear();
}

void LiveForesight::abandon_step() {
  for (const Part& part : parts_) {
    trace::Trace& told = part.text->told;
    told.token_ids.resize(static_cast<size_t>(part.step.first_token));
    told.experts.resize(told.token_ids.size() * static_cast<size_t>(geometry_.num_moe_layers) *
                        static_cast<size_t>(geometry_.top_k));
    if (!part.step.prompt) part.text->followed = false;  // the foresight has seen half of it
  }
  parts_.clear();
}

}  // namespace foregate::engine
