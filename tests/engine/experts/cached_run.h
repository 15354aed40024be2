#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"

namespace foregate::testing {

/// What a model says of some texts that it continues greedily, step by step.
struct Continued {
  std::vector<std::vector<int32_t>> ids;
  std::vector<torch::Tensor> logits;  ///< of every step, on the CPU
};

/// Prompts of these lengths in one step, then `steps` steps of a token each.
inline Continued continued(engine::Engine& engine, const std::vector<int64_t>& prompts, int steps,
                           engine::EngineObserver& observer) {
  Random random(7);
  engine::KvCache cache = engine.new_cache(4096 * engine.cache_bytes_per_token());
  std::vector<engine::KvCache::Sequence> sequences;
  Continued result;
  engine::StepBatch batch;
  for (const int64_t length : prompts) {
    std::vector<int32_t> ids(static_cast<size_t>(length));
    for (int32_t& id : ids) id = static_cast<int32_t>(random.below(engine.vocab_size()));
    sequences.push_back(cache.open());
    batch.add(sequences.back(), ids);
    result.ids.push_back(std::move(ids));
  }
  for (int step = 0; step <= steps; ++step) {
    result.logits.push_back(engine.step(batch, observer, &cache).next_token_logits.cpu().clone());
    batch = {};
    for (size_t i = 0; i < sequences.size(); ++i) {
      result.ids[i].push_back(static_cast<int32_t>(
          result.logits.back()[static_cast<int64_t>(i)].argmax().item<int64_t>()));
      batch.add(sequences[i], std::span(&result.ids[i].back(), 1));
    }
  }
  for (const auto sequence : sequences) cache.close(sequence);
  return result;
}

inline Continued continued(engine::Engine& engine, const std::vector<int64_t>& prompts, int steps) {
  engine::NoObserver nobody;
  return continued(engine, prompts, steps, nobody);
}

/// Where two runs differ first; empty if they do not, by no bit.
inline std::string difference(const Continued& a, const Continued& b) {
  for (size_t step = 0; step < a.logits.size(); ++step) {
    if (!torch::equal(a.logits[step], b.logits[step])) {
      return "logits of step " + std::to_string(step);
    }
  }
  return a.ids == b.ids && a.logits.size() == b.logits.size() ? "" : "ids";
}

}  // namespace foregate::testing
