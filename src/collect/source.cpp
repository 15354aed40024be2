#include "collect/source.h"

#include <fmt/format.h>

#include "base/containers/gguf_header.h"
#include "base/error.h"
#include "base/files.h"
#include "base/number_text.h"
#include "base/stopwatch.h"
#include "collect/continuation.h"
#include "collect/memory_plan.h"
#include "engine/memory_needs.h"
#include "models/registry.h"
#include "models/weights/quantized_checkpoint.h"
#include "models/weights/weight_digests.h"
#include "tensor/device/device_memory.h"
#include "text/tokenizer/formats/tokenizer_path.h"

namespace foregate::collect {
namespace {

void report_plan(const text::SamplingPlan& plan, Logger& log) {
  for (const text::DatasetPlan& dataset : plan.datasets) {
    log.info(
        "{}: {} of {}, {}{}", dataset.spec.name, with_commas(std::ssize(dataset.ordinals)),
        number_of(dataset.available, "usable text"), dataset.description,
        dataset.skipped > 0 ? fmt::format(", {} skipped", number_of(dataset.skipped, "row")) : "");
    for (const std::string& reason : dataset.skip_reasons) log.info("  skipped {}", reason);
  }
}

text::SamplingPlan make_plan(const CollectOptions& options, const std::vector<int64_t>& earlier,
                             const RunContext& run) {
  const auto progress = run.progress.start({.label = "count texts", .unit = "rows"});
  const auto on_row = [&](int64_t rows) {
    run.stop.check("nothing was written yet");
    progress->update(rows);
  };
  text::SamplingPlan plan = text::plan_sampling(options.data, options.traces, options.seed,
                                                options.strict, run.log, on_row, earlier);
  report_plan(plan, run.log);
  return plan;
}

struct Choices {
  CollectOptions options;
  models::ModelConfig config;
  int64_t offloaded_layers = 0;
  std::vector<int64_t> earlier;  ///< totals of the trace that is continued, see SamplingPlan
};

/// Tokens at which texts are cut: what is added must have positions, too.
int64_t max_length_of(const CollectOptions& options, const models::ModelConfig& config,
                      Logger& log) {
  const int64_t added = options.generate ? options.generate->max_tokens : 0;
  const int64_t most = config.max_positions - added;
  if (most < 1) {
    throw UsageError(
        fmt::format("--generate {} leaves no token for a text: the model has {} "
                    "positions; ask for at most {}",
                    added, config.max_positions, config.max_positions - 1));
  }
  if (options.max_length <= most) return options.max_length;
  log.warning("--max-length {} is more than the {} positions of the model{}; texts are cut at {}",
              options.max_length, config.max_positions,
              added > 0 ? fmt::format(", {} of which are for --generate", added) : "", most);
  return most;
}

/// What continuing texts takes beside routing them: keys and values, and the weights that routing
/// does without.
int64_t continuation_bytes(const models::ModelConfig& config, const CollectOptions& options) {
  const tensor::Quantization quantization =
      options.compute.quantization.value_or(tensor::Quantization::kNone);
  const auto weights = [&](engine::Extent extent) {
    return engine::memory_needs(config, quantization, options.compute.dtype, options.compute.device,
                                extent)
        .weights;
  };
  return continuation_memory(config, options.compute, options.longest_text()).cache_bytes +
         weights(engine::Extent::kWhole) - weights(engine::Extent::kRoutingOnly);
}

/// What is left open, chosen: by the run that is continued, or by the memory there is.
Choices with_choices(const CollectOptions& options, Logger& log) {
  CollectOptions chosen = options;
  std::vector<int64_t> earlier;
  const models::ModelConfig config = models::read_model_config(options.model);
  chosen.max_length = max_length_of(options, config, log);
  if (!options.output.empty() && fs::exists(options.output / trace::kManifestName)) {
    const trace::Manifest previous = trace::read_manifest(options.output);
    const bool collected = previous.batch_tokens > 0;  // imports have none
    if (collected && !options.compute.quantization) {
      chosen.compute.quantization = tensor::parse_quantization(previous.quantization);
    }
    if (options.batch_tokens == 0) chosen.batch_tokens = previous.batch_tokens;
    if (collected) {
      earlier = previous.grown_from;
      if (options.traces > previous.num_planned()) earlier.push_back(previous.num_planned());
    }
  }
  MemoryPlanRequest request;
  request.compute = chosen.compute;
  request.batch_tokens = chosen.batch_tokens;
  request.longest_text = chosen.longest_text();
  request.memory = usable_memory(request.compute.device, options.max_memory);
  if (chosen.generate) request.memory -= continuation_bytes(config, chosen);
  request.host_memory = usable_memory(torch::kCPU, 0);
  const MemoryPlan plan = choose_memory_plan(config, request, options.model.string());
  log.info("{}", description(plan, request.memory, request.compute.device));
  chosen.compute.quantization = plan.quantization;
  chosen.batch_tokens = plan.batch_tokens;
  return {chosen, config, plan.offloaded_layers, earlier};
}

/// Where to read the weights from: a folder of quantised ones that is made now or was before, or
/// the model's.
fs::path weights_folder(const CollectOptions& options, const RunContext& run) {
  if (options.save_quantized.empty()) return options.model;
  const tensor::Quantization quantization = options.compute.quantization.value();
  if (quantization == tensor::Quantization::kNone) {
    throw UsageError("--save-quantized needs --quantize " +
                     tensor::quantization_names(/*none=*/false));
  }
  if (models::is_saved_quantized(options.save_quantized, options.model, quantization, run.log)) {
    run.log.info("reading the quantised weights in {}", options.save_quantized.string());
  } else {
    models::save_quantized(options.model, quantization, options.save_quantized, run);
    run.log.info("saved the quantised weights in {}", options.save_quantized.string());
  }
  return options.save_quantized;
}

}  // namespace

Source open_source(const CollectOptions& options, const RunContext& run) {
  Stopwatch clock;
  clock.start();
  if (!fs::is_directory(options.model) && !is_gguf_file(options.model)) {
    throw EnvironmentError(
        fmt::format("no model directory {}; expected a folder in the Hugging Face layout with "
                    "config.json, tokenizer.json and *.safetensors, or a GGUF file",
                    options.model.string()));
  }
  text::Tokenizer tokenizer = text::Tokenizer::load(text::tokenizer_path(options.model));
  for (const std::string& note : tokenizer.notes()) run.log.warning("{}", note);
  auto [chosen, config, offloaded_layers, earlier] = with_choices(options, run.log);
  if (options.max_memory > 0) {
    tensor::limit_device_memory(options.compute.device, options.max_memory);
  }
  const double ready = clock.seconds();
  // Before the weights, which take longer: a wrong path or column is told at once.
  text::SamplingPlan plan = make_plan(chosen, earlier, run);
  const double planned = clock.seconds();
  const fs::path weights = weights_folder(chosen, run);
  const double found = clock.seconds();
  engine::Engine engine(weights, {.compute = chosen.compute,
                                  .offloaded_layers = offloaded_layers,
                                  .routing_only = !chosen.generate,
                                  .random_weights = options.random_weights,
                                  .log = &run.log});
  std::vector<FileDigest> digests;
  if (!options.random_weights) {
    digests = models::weight_digests(options.model, config);
  }
  const double loaded = clock.seconds();
  run.log.info("weights loaded in {:.2f} s", loaded - found);
  const double plan_seconds = planned - ready;
  return {.options = std::move(chosen),
          .config = std::move(config),
          .tokenizer = std::move(tokenizer),
          .engine = std::move(engine),
          .plan = std::move(plan),
          .weights = std::move(digests),
          .load_seconds = loaded - plan_seconds,
          .plan_seconds = plan_seconds};
}

std::string model_name_of(const CollectOptions& options) {
  if (!options.model_name.empty()) return options.model_name;
  if (!fs::is_directory(options.model)) return options.model.filename().string();
  return fs::weakly_canonical(options.model).filename().string();
}

}  // namespace foregate::collect
