#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "collect/work.h"
#include "engine/generation/generator.h"
#include "trace/manifest.h"

namespace foregate::collect {

/// Texts continued at once, and keys and values for them.
struct ContinuationMemory {
  int64_t sequences = 0;
  int64_t cache_bytes = 0;
};

/// For texts of so many tokens, what is added included.
ContinuationMemory continuation_memory(const models::ModelConfig& config,
                                       const tensor::Compute& compute, int64_t longest);

/// Lets a model continue texts before their routing is recorded.
class Continuation {
 public:
  /// `like`: how; its prompt, id and stream are not read. The engine is not routing_only.
  Continuation(engine::Engine& engine, engine::GenerationRequest like,
               const ContinuationMemory& memory, Logger& log);

  /// Adds to each text what the model continues it with. What that is depends on the text, where it
  /// is from, and `like`, but not on the others. False if a stop was asked for: then texts are as
  /// they were. `on_text` is told how many are continued.
  bool add_to(ShardWork& work, const std::vector<trace::DatasetEntry>& datasets,
              const StopToken& stop, const std::function<void(int64_t)>& on_text);

 private:
  engine::GenerationRequest like_;
  engine::Generator generator_;
};

}  // namespace foregate::collect
