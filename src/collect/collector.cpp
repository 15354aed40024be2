#include "collect/collector.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/number_text.h"
#include "base/output_folder.h"
#include "base/stopwatch.h"
#include "collect/pipeline.h"
#include "collect/session.h"
#include "collect/source.h"
#include "nn/routers.h"
#include "trace/features.h"

namespace foregate::collect {
namespace {

void check_options(const CollectOptions& options) {
  const auto require = [](bool holds, const std::string& message) {
    if (!holds) throw UsageError(message);
  };
  require(!options.data.empty(), "no texts given; name at least one dataset with --data NAME=PATH");
  require(options.traces > 0, "--traces must be at least 1");
  require(options.max_length > 0, "--max-length must be at least 1");
  require(options.shard_traces > 0, "--shard-traces must be at least 1");
  require(options.save_quantized.empty() || !options.random_weights,
          "--save-quantized needs a checkpoint, not random weights");
  require(options.batch_tokens >= 0, "--batch-tokens must be at least 1, or 0 to choose");
  require(options.feature_fraction >= 0 && options.feature_fraction <= 1,
          "--record features:F needs F between 0 and 1");
}

}  // namespace

CollectSummary collect(const CollectOptions& options, const RunContext& run) {
  Stopwatch clock;
  clock.start();
  check_options(options);
  const OutputFolder folder(options.output);
  Source source = open_source(options, run);
  const text::SamplingPlan& plan = source.plan;
  engine::Engine& engine = source.engine;

  CollectSummary summary;
  summary.manifest = resume_or_start(options.output, planned_manifest(source), run.log);
  keep_generation(options.output,
                  options.generate ? settings_json(*options.generate, options.compute) : Json());
  if (summary.manifest.complete) {
    summary.already_complete = true;
    return summary;
  }
  summary.resumed_traces = summary.manifest.num_traces();
  if (summary.resumed_traces > 0) {
    run.log.info("continuing {}: {} of {} traces are there", options.output.string(),
                 with_commas(summary.resumed_traces), with_commas(plan.num_texts()));
  }
  if (options.feature_fraction > 0) {
    nn::save_routers(options.output, engine.routers());
    summary.manifest.routers_sha256 =
        sha256_of_file(options.output / trace::features::kRoutersFile);
  }
  // The manifest is there from the start, so that a directory is never without its settings.
  trace::write_manifest(options.output, summary.manifest);

  std::optional<Continuation> continuation;
  if (options.generate) {
    continuation.emplace(
        engine, *options.generate,
        continuation_memory(source.config, source.options.compute, source.options.longest_text()),
        run.log);
  }
  Pipeline pipeline({source.tokenizer, engine, plan, options.output, run,
                     continuation ? &*continuation : nullptr},
                    summary.manifest);
  pipeline.run();
  summary.manifest = pipeline.manifest();
  summary.stages = pipeline.stage_times();
  summary.stages.load = source.load_seconds;
  summary.stages.plan = source.plan_seconds;
  summary.seconds = clock.seconds();
  return summary;
}

}  // namespace foregate::collect
