#include "collect/continuation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"

namespace foregate::collect {
namespace {

// What is continued at once on a device shares the reading of weights.
constexpr int64_t kCpuSequences = 8;
constexpr int64_t kGpuSequences = 64;
constexpr int64_t kCpuStepTokens = 512;
constexpr int64_t kGpuStepTokens = 4096;

// Takes texts' continuations to their places.
class Additions : public engine::GenerationListener {
 public:
  Additions(size_t texts, const std::function<void(int64_t)>& on_text)
      : ids_(texts), on_text_(on_text) {}
  void on_result(const engine::GenerationResult& result) override {
    ids_[static_cast<size_t>(result.id)] = result.ids;
    on_text_(++texts_);
  }
  const std::vector<std::vector<int32_t>>& ids() const { return ids_; }

 private:
  std::vector<std::vector<int32_t>> ids_;
  const std::function<void(int64_t)>& on_text_;
  int64_t texts_ = 0;
};

engine::GeneratorOptions generator_options(const engine::Engine& engine,
                                           const ContinuationMemory& memory, Logger& log) {
  return {.cache_bytes = memory.cache_bytes,
          .max_sequences = memory.sequences,
          .step_tokens = engine.device().is_cpu() ? kCpuStepTokens : kGpuStepTokens,
          .log = &log};
}

}  // namespace

ContinuationMemory continuation_memory(const models::ModelConfig& config,
                                       const tensor::Compute& compute, int64_t longest) {
  constexpr int64_t kPage = engine::KvCache::kPageTokens;
  const int64_t sequences = compute.device.is_cpu() ? kCpuSequences : kGpuSequences;
  const int64_t tokens = sequences * ((longest + kPage - 1) / kPage * kPage);
  return {sequences, tokens * bytes_per_token(engine::kv_layout(config), compute.cache_dtype())};
}

Continuation::Continuation(engine::Engine& engine, engine::GenerationRequest like,
                           const ContinuationMemory& memory, Logger& log)
    : like_(std::move(like)), generator_(engine, generator_options(engine, memory, log), nullptr) {}

bool Continuation::add_to(ShardWork& work, const std::vector<trace::DatasetEntry>& datasets,
                          const StopToken& stop, const std::function<void(int64_t)>& on_text) {
  size_t next = 0;
  const auto request = [&]() -> std::optional<engine::GenerationRequest> {
    if (next == work.texts.size()) return std::nullopt;
    const TokenizedText& text = work.texts[next];
    engine::GenerationRequest made = like_;
    made.id = static_cast<int64_t>(next++);
    made.prompt = text.ids;
    made.stream = stable_hash(
        fmt::format("{}\n{}", datasets[static_cast<size_t>(text.dataset)].name, text.row), 0);
    return made;
  };
  Additions additions(work.texts.size(), on_text);
  engine::NoObserver nobody;
  if (generator_.run(request, additions, stop, nobody).interrupted) return false;
  for (size_t i = 0; i < work.texts.size(); ++i) {
    std::vector<int32_t>& ids = work.texts[i].ids;
    ids.insert(ids.end(), additions.ids()[i].begin(), additions.ids()[i].end());
  }
  return true;
}

}  // namespace foregate::collect
