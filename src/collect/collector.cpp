#include "collect/collector.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "collect/pipeline.h"
#include "collect/session.h"
#include "collect/sizing.h"
#include "models/quantized_checkpoint.h"
#include "tensor/device.h"
#include "tensor/device_memory.h"
#include "tensor/dtype.h"
#include "text/tokenizer.h"
#include "trace/features.h"

namespace foregate {
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

void report_plan(const SamplingPlan& plan, int64_t target) {
  for (const DatasetPlan& dataset : plan.datasets) {
    log::info(
        "{}: {} of {} usable texts{}", dataset.spec.name,
        with_commas(static_cast<int64_t>(dataset.ordinals.size())), with_commas(dataset.available),
        dataset.skipped > 0 ? fmt::format(", {} rows skipped", with_commas(dataset.skipped)) : "");
    for (const std::string& reason : dataset.skip_reasons) log::info("  skipped {}", reason);
  }
  if (plan.num_texts() < target) {
    log::warning(
        "the datasets hold {} usable texts, fewer than the {} traces asked for; collecting them "
        "all",
        with_commas(plan.num_texts()), with_commas(target));
  }
}

SamplingPlan make_plan(const CollectOptions& options) {
  Progress progress("count texts", "rows", 0);
  SamplingPlan plan =
      plan_sampling(options.data, options.traces, options.seed, options.strict, [&](int64_t rows) {
        check_interrupted("nothing was written yet");
        progress.update(rows);
      });
  report_plan(plan, options.traces);
  return plan;
}

void write_routers(const std::filesystem::path& directory, const Engine& engine) {
  const RouterWeights routers = engine.router_weights();
  write_safetensors(
      directory / features::kRoutersFile,
      {{features::kRouterWeight, routers.weight}, {features::kNormWeight, routers.norm_weight}},
      {{features::kNormEpsilon, fmt::format("{}", routers.norm_epsilon)}});
}

/// What is left open, chosen: by the run that is continued, or by the memory there is.
CollectOptions with_choices(const CollectOptions& options) {
  CollectOptions chosen = options;
  const ModelConfig config = read_model_config(options.model / "config.json");
  if (options.max_length > config.max_positions) {
    log::warning("--max-length {} is more than the {} positions of the model; texts are cut there",
                 options.max_length, config.max_positions);
    chosen.max_length = config.max_positions;
  }
  if (fs::exists(options.output / kManifestName)) {
    const Manifest previous = read_manifest(options.output);
    const bool collected = previous.batch_tokens > 0;  // imports have none
    if (collected && options.quantization.empty()) chosen.quantization = previous.quantization;
    if (options.batch_tokens == 0) chosen.batch_tokens = previous.batch_tokens;
  }
  SizingRequest request;
  request.device = parse_device(options.device);
  request.dtype = parse_dtype(options.dtype);
  if (!chosen.quantization.empty()) request.quantization = parse_quantization(chosen.quantization);
  request.batch_tokens = chosen.batch_tokens;
  request.longest_text = chosen.max_length;
  request.memory = usable_memory(request.device, options.max_memory);
  const Sizing sizing = choose_sizing(config, request, options.model.string());
  log::info("{}", description(sizing, request.memory, request.device));
  chosen.quantization = quantization_name(sizing.quantization);
  chosen.batch_tokens = sizing.batch_tokens;
  return chosen;
}

/// Where to read the weights from: a folder of quantised ones that is made now or was before, or
/// the model's.
fs::path weights_folder(const CollectOptions& options) {
  if (options.save_quantized.empty()) return options.model;
  const Quantization quantization = parse_quantization(options.quantization);
  if (quantization == Quantization::kNone) {
    throw UsageError("--save-quantized needs --quantize int8 or nf4");
  }
  if (is_saved_quantized(options.save_quantized, options.model, quantization)) {
    log::info("reading the quantised weights in {}", options.save_quantized.string());
  } else {
    save_quantized(options.model, quantization, options.save_quantized);
    log::info("saved the quantised weights in {}", options.save_quantized.string());
  }
  return options.save_quantized;
}

}  // namespace

CollectSummary collect(const CollectOptions& options) {
  Stopwatch clock;
  clock.start();
  check_options(options);
  make_output_directory(options.output);
  if (!fs::is_directory(options.model)) {
    throw EnvironmentError(
        fmt::format("no model directory {}; expected a folder in the Hugging Face layout with "
                    "config.json, tokenizer.json and *.safetensors",
                    options.model.string()));
  }
  const Tokenizer tokenizer = Tokenizer::load(options.model / "tokenizer.json");
  const CollectOptions effective = with_choices(options);
  if (options.max_memory > 0) {
    limit_device_memory(parse_device(options.device), options.max_memory);
  }
  const fs::path weights = weights_folder(effective);
  const double ready = clock.seconds();
  Engine engine(weights, {.device = options.device,
                          .dtype = options.dtype,
                          .quantization = effective.quantization,
                          .random_weights = options.random_weights});
  const double loaded = clock.seconds();
  log::info("weights loaded in {:.2f} s", loaded - ready);
  const SamplingPlan plan = make_plan(effective);
  const double planned = clock.seconds();

  CollectSummary summary;
  summary.manifest = resume_or_start(options.output, planned_manifest(effective, engine, plan));
  if (summary.manifest.complete) {
    summary.already_complete = true;
    return summary;
  }
  summary.resumed_traces = summary.manifest.num_traces();
  if (summary.resumed_traces > 0) {
    log::info("continuing {}: {} of {} traces are there", options.output.string(),
              with_commas(summary.resumed_traces), with_commas(plan.num_texts()));
  }
  // The manifest is there from the start, so that a directory is never without its settings.
  write_manifest(options.output, summary.manifest);
  if (options.feature_fraction > 0) write_routers(options.output, engine);

  Pipeline pipeline({tokenizer, engine, plan, options.output}, summary.manifest);
  pipeline.run();
  summary.manifest = pipeline.manifest();
  summary.stages = pipeline.stage_times();
  summary.stages.load = loaded;
  summary.stages.plan = planned - loaded;
  summary.seconds = clock.seconds();
  return summary;
}

}  // namespace foregate
