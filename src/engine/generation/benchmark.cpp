#include "engine/generation/benchmark.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "base/scratch_directory.h"
#include "base/stopwatch.h"
#include "engine/generation/memory.h"
#include "models/benchmark_models.h"
#include "models/registry.h"

namespace foregate::engine {
namespace {

constexpr uint64_t kSeed = 1;

class Nobody : public GenerationListener {
 public:
  void on_result(const GenerationResult& /*result*/) override {}
};

std::vector<GenerationRequest> random_requests(const GenerationBenchmarkOptions& options,
                                               int64_t vocab_size) {
  Random random(kSeed);
  std::vector<GenerationRequest> requests(static_cast<size_t>(options.texts));
  for (GenerationRequest& request : requests) {
    request.prompt.resize(static_cast<size_t>(options.prompt_tokens));
    for (int32_t& id : request.prompt) {
      id = static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab_size)));
    }
    request.max_tokens = options.tokens;
  }
  return requests;
}

// Room for all texts to their ends, and all prompts in one step, so that no text is continued
// before all have begun.
GeneratorOptions generator_options(const GenerationBenchmarkOptions& options,
                                   const models::ModelConfig& config, const RunContext& run) {
  constexpr int64_t kPage = KvCache::kPageTokens;
  const int64_t longest = options.prompt_tokens + options.tokens;
  const int64_t token = bytes_per_token(kv_layout(config), options.compute.cache_dtype());
  return {.cache_bytes = options.texts * ((longest + kPage - 1) / kPage + 1) * kPage * token,
          .max_sequences = options.texts,
          .step_tokens = options.texts * options.prompt_tokens,
          .log = &run.log};
}

GenerationStats run_once(Generator& generator, const std::vector<GenerationRequest>& requests,
                         const StopToken& stop) {
  size_t next = 0;
  Nobody listener;
  NoObserver observer;
  const GenerationStats stats = generator.run(
      [&]() -> std::optional<GenerationRequest> {
        return next == requests.size() ? std::nullopt : std::optional(requests[next++]);
      },
      listener, stop, observer);
  if (stats.interrupted) stop.check("nothing was measured");
  return stats;
}

}  // namespace

double GenerationBenchmark::prefill_tokens_per_second() const {
  return static_cast<double>(fastest.prompt_tokens) / least_prefill_seconds;
}

double GenerationBenchmark::decode_tokens_per_second() const {
  return static_cast<double>(fastest.seconds_between.size()) / fastest.decode_seconds;
}

GenerationBenchmark benchmark_generation(const GenerationBenchmarkOptions& options,
                                         const RunContext& run) {
  std::optional<ScratchDirectory> scratch;
  if (options.model.empty()) {
    scratch.emplace(options.work);
    write_file_atomically(options.work / "config.json", models::benchmark_config(options.geometry));
  }
  const fs::path model = options.model.empty() ? options.work : options.model;
  const models::ModelConfig config = models::read_model_config(model);
  const GeneratorOptions generating = generator_options(options, config, run);
  const auto expert_cache = options.expert_cache ? options.expert_cache(config) : std::nullopt;
  if (options.max_memory > 0) {
    GenerationLoad load{generating.cache_bytes, generating.step_tokens, options.texts};
    if (expert_cache) load.expert_slots = expert_cache->slots;
    require_memory(config, options.compute, load, options.max_memory,
                   options.model.empty() ? options.geometry : model.string());
    tensor::limit_device_memory(options.compute.device, options.max_memory);
  }
  GenerationBenchmark result;
  Stopwatch loading;
  loading.start();
  Engine engine(model, {.compute = options.compute,
                        .expert_cache = expert_cache,
                        .routing_only = false,
                        .random_weights = options.model.empty(),
                        .log = &run.log});
  loading.stop();
  result.load_seconds = loading.seconds();
  Generator generator(engine, generating, nullptr);
  const std::vector<GenerationRequest> requests = random_requests(options, engine.vocab_size());
  if (const std::string why = generator.refusal(requests.front()); !why.empty()) {
    throw UsageError(why);
  }
  const auto progress =
      run.progress.start({.label = "generate", .unit = "rounds", .total = options.rounds + 1});
  for (int64_t round = 0; round <= options.rounds; ++round) {
    const GenerationStats stats = run_once(generator, requests, run.stop);
    if (round == 1 || (round > 1 && stats.decode_seconds < result.fastest.decode_seconds)) {
      result.fastest = stats;
    }
    if (round >= 1) {
      result.least_prefill_seconds =
          round == 1 ? stats.prefill_seconds
                     : std::min(result.least_prefill_seconds, stats.prefill_seconds);
    }
    progress->update(round + 1);
  }
  progress->finish();
  const KvCache& cache = generator.cache();
  result.cache_bytes = cache.num_pages() * cache.page_bytes();
  result.experts = engine.expert_counts();
  result.memory = tensor::device_memory(options.compute.device);
  return result;
}

}  // namespace foregate::engine
