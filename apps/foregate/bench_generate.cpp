#include "bench_generate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/bytes.h"
#include "base/files.h"
#include "base/number_text.h"
#include "engine/generation/benchmark.h"
#include "generate_offload.h"
#include "generate_report.h"
#include "hub/resolve.h"
#include "model_options.h"
#include "models/benchmark_models.h"
#include "options/number_options.h"
#include "output.h"
#include "tensor/dtype.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate bench generate\n"
    "  foregate bench generate --texts 32 --prompt-tokens 128 --device cuda --quantize int8\n"
    "  foregate bench generate --model DIR --json\n"
    "Prompts are random ids, the likeliest token follows each time. The fastest of the rounds "
    "counts, loading does not.";

struct Arguments {
  engine::GenerationBenchmarkOptions options;
  std::string model;
  ComputeArguments compute;
  OffloadArguments offload;
  std::optional<Offload> offloaded;  ///< once the model's config is known
  std::string max_memory;
  bool json = false;
};

std::string subject(const engine::GenerationBenchmarkOptions& options) {
  return options.model.empty() ? options.geometry : hub::model_name(options.model);
}

Json to_json(const engine::GenerationBenchmark& result, const Arguments& arguments) {
  const engine::GenerationBenchmarkOptions& options = arguments.options;
  Json json{{options.model.empty() ? "geometry" : "model", subject(options)},
            {"device", options.compute.device.str()},
            {"dtype", tensor::dtype_name(options.compute.dtype)},
            {"quantization", tensor::quantization_name(*options.compute.quantization)},
            {"kv_dtype", tensor::dtype_name(options.compute.cache_dtype())},
            {"texts", options.texts},
            {"prompt_tokens", options.prompt_tokens},
            {"tokens", options.tokens},
            {"prefill_tokens_per_second", result.prefill_tokens_per_second()},
            {"decode_tokens_per_second", result.decode_tokens_per_second()},
            {"ttft_seconds", quantiles(result.fastest.seconds_to_first)},
            {"tpot_seconds", quantiles(result.fastest.seconds_between)},
            {"load_seconds", result.load_seconds},
            {"kv_cache_bytes", result.cache_bytes},
            {"peak_device_bytes", result.memory.peak_used}};
  if (result.experts) json["offload"] = arguments.offloaded->json(*result.experts);
  return json;
}

void print_table(const engine::GenerationBenchmark& result,
                 const engine::GenerationBenchmarkOptions& options) {
  const auto row = [](const std::string& name, const std::string& value) {
    print_line(fmt::format("{:<22} {}", name, value));
  };
  const auto milliseconds = [](const std::vector<double>& seconds) {
    const Json both = quantiles(seconds);
    return fmt::format("{:.2f} ms, 95% within {:.2f} ms", 1000 * both["p50"].get<double>(),
                       1000 * both["p95"].get<double>());
  };
  row(options.model.empty() ? "geometry" : "model",
      fmt::format("{}{}, {}, quantisation {}, {}", subject(options),
                  options.model.empty() ? ", random weights" : "",
                  tensor::dtype_name(options.compute.dtype),
                  tensor::quantization_name(*options.compute.quantization),
                  options.compute.device.str()));
  row("texts", fmt::format("{} at once, of {}, {} added to each", options.texts,
                           number_of(options.prompt_tokens, "token"), options.tokens));
  row("prefill tokens/s", fmt::format("{:.1f}", result.prefill_tokens_per_second()));
  row("decode tokens/s", fmt::format("{:.1f}", result.decode_tokens_per_second()));
  row("first token", milliseconds(result.fastest.seconds_to_first));
  row("each further token", milliseconds(result.fastest.seconds_between));
  row("before it", fmt::format("{:.2f} s loading", result.load_seconds));
  row("keys and values",
      fmt::format("{} in {}", human_bytes(static_cast<uint64_t>(result.cache_bytes)),
                  tensor::dtype_name(options.compute.cache_dtype())));
  if (result.experts) row("experts", offload_summary(*result.experts));
  if (result.memory.peak_used > 0) {
    row("peak device memory", human_bytes(static_cast<uint64_t>(result.memory.peak_used)));
  }
}

void run_bench_generate(Arguments& arguments, const RunContext& run) {
  engine::GenerationBenchmarkOptions& options = arguments.options;
  if (!arguments.model.empty()) {
    options.model = hub::find_model(arguments.model, {.files = {"config.json"}, .weights = true},
                                    hub::read_environment());
  }
  options.compute = parse_compute(arguments.compute, run.log);
  if (!options.compute.quantization) options.compute.quantization = tensor::Quantization::kNone;
  if (!arguments.max_memory.empty()) {
    options.max_memory = parse_bytes(arguments.max_memory, "--max-memory");
  }
  options.expert_cache = [&](const models::ModelConfig& config) {
    arguments.offloaded.emplace(arguments.offload, config, options.compute, options.texts);
    return arguments.offloaded->cache();
  };
  const engine::GenerationBenchmark result = engine::benchmark_generation(options, run);
  if (arguments.json) {
    print_json(to_json(result, arguments));
  } else {
    print_table(result, options);
  }
}

}  // namespace

void add_bench_generate(CLI::App& bench, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  engine::GenerationBenchmarkOptions& options = arguments->options;
  options.work = fs::temp_directory_path() / "foregate-bench";
  CLI::App* command =
      bench.add_subcommand("generate", "Continue random prompts, with random weights or a model's");
  command->footer(kFooter);
  CLI::Option* model =
      command->add_option("--model", arguments->model,
                          "Checkpoint directory in the Hugging Face layout, or OWNER/NAME that was "
                          "pulled (default: random weights)");
  command
      ->add_option("--geometry", options.geometry,
                   fmt::format("Of random weights: one of {}",
                               fmt::join(models::benchmark_model_names(), ", ")))
      ->capture_default_str()
      ->excludes(model);
  add_number_option(*command, "--texts", options.texts, {1, 1 << 16}, "Continued at once");
  add_number_option(*command, "--prompt-tokens", options.prompt_tokens, {1, kMostAtOnce},
                    "Tokens of each prompt");
  add_number_option(*command, "--tokens", options.tokens, {2, kMostAtOnce}, "Added to each");
  add_number_option(*command, "--rounds", options.rounds, {1, 1000},
                    "Measured, after one to warm up");
  add_device_option(*command, arguments->compute.device);
  add_dtype_option(*command, arguments->compute.dtype);
  add_quantize_option(*command, arguments->compute.quantization,
                      "none, int8 or nf4 (default: none)");
  add_kv_dtype_option(*command, arguments->compute.kv_dtype);
  add_offload_options(*command, arguments->offload);
  command->add_option("--max-memory", arguments->max_memory,
                      "Memory of the device to fit into, e.g. 8GB (default: what there is)");
  command->add_option("--work", options.work, "Directory to make for the geometry, and remove")
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print the result as one JSON document");
  command->callback([arguments, &run] { run_bench_generate(*arguments, run); });
}

}  // namespace foregate
