#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "engine/engine.h"
#include "engine/generation/request.h"

namespace foregate::engine {

struct GeneratorOptions {
  int64_t cache_bytes = 0;    ///< for keys and values
  int64_t max_sequences = 8;  ///< texts that grow at once
  int64_t step_tokens = 512;  ///< of one step; longer prompts take several
  int64_t page_tokens = KvCache::kPageTokens;
  Logger* log = &silent_run().log;  ///< told when a step did not fit into memory
};

/// What a run took. Steps that hold tokens of prompts and generated ones count for both, by their
/// tokens.
struct GenerationStats {
  int64_t prompts = 0;
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t steps = 0;
  int64_t preemptions = 0;       ///< sequences that made room, to be run again
  int64_t peak_cache_bytes = 0;  ///< of keys and values that were held at once
  double prefill_seconds = 0;
  double decode_seconds = 0;
  std::vector<double> seconds_to_first;  ///< of each text that got a token
  std::vector<double> seconds_between;   ///< of each further token
  bool interrupted = false;
};

/// Continues prompts, several at once: whenever a text ends, the next prompt takes its place in the
/// running batch (Yu et al. 2022, Orca). If keys and values run out of room, the text that was
/// taken up last waits and is run again. A step that runs out of memory is run again in two, and
/// later ones are no larger.
class Generator {
 public:
  /// What a token adds to a text, in bytes; nothing for special tokens.
  using TokenBytes = std::function<std::string(int32_t)>;
  /// The next prompt; nothing behind the last.
  using NextRequest = std::function<std::optional<GenerationRequest>()>;

  /// The engine is not routing_only. Throws as Engine::new_cache().
  Generator(Engine& engine, const GeneratorOptions& options, TokenBytes token_bytes);
  ~Generator();

  /// Tokens that a text may have, its prompt included: what the model allows and the cache holds.
  int64_t context_limit() const;
  /// Why the request cannot be run; empty if it can.
  std::string refusal(const GenerationRequest& request) const;

  /// Runs what `next` gives until there is no more, or a stop is asked for: then texts that are
  /// under way end where they are. Throws DataError for a request that refusal() refuses,
  /// OutOfMemoryError if not even a step of one token fits.
  GenerationStats run(const NextRequest& next, GenerationListener& listener, const StopToken& stop,
                      EngineObserver& observer);

  const KvCache& cache() const { return cache_; }

 private:
  struct GrowingText;
  class Run;

  Engine& engine_;
  GeneratorOptions options_;
  TokenBytes token_bytes_;
  KvCache cache_;
};

}  // namespace foregate::engine
