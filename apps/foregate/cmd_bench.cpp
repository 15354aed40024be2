#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/files.h"
#include "base/number_text.h"
#include "bench_generate.h"
#include "collect/benchmark.h"
#include "commands.h"
#include "model_options.h"
#include "models/benchmark_models.h"
#include "options/number_options.h"
#include "output.h"
#include "tensor/dtype.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate bench collect\n"
    "  foregate bench collect --traces 512 --longest 256 --json\n"
    "  foregate bench collect --device cuda --quantize int8 --max-memory 17GB\n"
    "  foregate bench generate\n"
    "Nothing is downloaded: the weights are drawn on the device, the texts are made up and removed "
    "again.";

constexpr uint64_t kShortestText = 4;  // tokens

struct Arguments {
  collect::BenchmarkOptions options;
  ComputeArguments compute;
  std::string max_memory;
  bool json = false;
};

Json to_json(const collect::BenchmarkResult& result, const collect::BenchmarkOptions& options) {
  const collect::StageTimes& stages = result.summary.stages;
  return {{"geometry", options.geometry},
          {"device", options.compute.device.str()},
          {"dtype", tensor::dtype_name(options.compute.dtype)},
          {"quantization", result.summary.manifest.quantization},
          {"batch_tokens", result.summary.manifest.batch_tokens},
          {"traces", result.summary.manifest.num_traces()},
          {"tokens", result.tokens()},
          {"tokens_per_second", result.tokens_per_second()},
          {"traces_per_minute", result.traces_per_minute()},
          {"gemm_flops_per_second", result.gemm_rate},
          {"flops_per_token", result.flops_per_token},
          {"gemm_share", result.gemm_share()},
          {"seconds",
           {{"load", stages.load},
            {"plan", stages.plan},
            {"pipeline", stages.total},
            {"read", stages.read},
            {"forward", stages.forward},
            {"device", stages.device},
            {"write", stages.write}}},
          {"peak_device_bytes", result.memory.peak_used}};
}

void print_table(const collect::BenchmarkResult& result, const collect::BenchmarkOptions& options) {
  const collect::StageTimes& stages = result.summary.stages;
  const auto row = [](const std::string& name, const std::string& value) {
    print_line(fmt::format("{:<22} {}", name, value));
  };
  const auto share = [&](double seconds) {
    return fmt::format("{:.2f} s, {:.0f}% of the time", seconds, 100 * seconds / stages.total);
  };
  row("geometry", fmt::format("{}, random weights, {}, quantisation {}, {}", options.geometry,
                              tensor::dtype_name(options.compute.dtype),
                              result.summary.manifest.quantization, options.compute.device.str()));
  row("texts", fmt::format("{} of {} to {} tokens, {} in all, {} a batch",
                           number_of(result.summary.manifest.num_traces(), "text"),
                           options.shortest, options.longest, number_of(result.tokens(), "token"),
                           with_commas(result.summary.manifest.batch_tokens)));
  row("tokens/s", with_commas(static_cast<int64_t>(result.tokens_per_second())));
  row("traces/min", with_commas(static_cast<int64_t>(result.traces_per_minute())));
  row("share of GEMM rate",
      fmt::format("{:.0f}% of {:.1f} TFLOP/s measured, at {:.2f} GFLOP a token",
                  100 * result.gemm_share(), result.gemm_rate * 1e-12,
                  result.flops_per_token * 1e-9));
  row("pipeline", fmt::format("{:.2f} s", stages.total));
  row("  read and tokenise", share(stages.read));
  row("  pack and queue", share(stages.forward));
  if (stages.device > 0) row("  on the device", share(stages.device));
  row("  encode and write", share(stages.write));
  row("before it",
      fmt::format("{:.2f} s loading, {:.2f} s counting texts", stages.load, stages.plan));
  if (result.memory.peak_used > 0) {
    row("peak device memory", human_bytes(static_cast<uint64_t>(result.memory.peak_used)));
  }
}

void run_bench_collect(Arguments& arguments, const RunContext& run) {
  collect::BenchmarkOptions& options = arguments.options;
  if (!arguments.max_memory.empty()) {
    options.max_memory = parse_bytes(arguments.max_memory, "--max-memory");
  }
  options.compute = parse_compute(arguments.compute, run.log);
  const collect::BenchmarkResult result = collect::benchmark_collect(options, run);
  if (arguments.json) {
    print_json(to_json(result, options));
  } else {
    print_table(result, options);
  }
}

}  // namespace

void add_bench_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  collect::BenchmarkOptions& options = arguments->options;
  options.work = fs::temp_directory_path() / "foregate-bench";
  CLI::App* bench = app.add_subcommand("bench", "Measure speed on this machine");
  bench->footer(kFooter);
  bench->require_subcommand(1);
  CLI::App* collect = bench->add_subcommand(
      "collect",
      "Collect synthetic texts with random weights: the whole pipeline, without a model");
  collect->footer(kFooter);
  collect
      ->add_option("--geometry", options.geometry,
                   fmt::format("One of {}", fmt::join(models::benchmark_model_names(), ", ")))
      ->capture_default_str();
  add_number_option(*collect, "--traces", options.traces, {1, kMostCounted}, "Texts");
  add_number_option(*collect, "--shortest", options.shortest, {kShortestText, kMostAtOnce},
                    "Tokens of the shortest text");
  add_number_option(*collect, "--longest", options.longest, {kShortestText, kMostAtOnce},
                    "Tokens of the longest text");
  add_device_option(*collect, arguments->compute.device);
  add_dtype_option(*collect, arguments->compute.dtype);
  add_quantize_option(*collect, arguments->compute.quantization,
                      "none, int8 or nf4 (default: the first that fits into the device's memory)");
  add_number_option(*collect, "--batch-tokens", options.batch_tokens, {0, kMostAtOnce},
                    "Tokens run at once; 0 chooses for the device");
  collect->add_option("--max-memory", arguments->max_memory,
                      "Memory of the device to fit into, e.g. 12GB (default: what is free)");
  collect->add_option("--work", options.work, "Directory to make for texts and traces, and remove")
      ->capture_default_str();
  collect->add_flag("--json", arguments->json, "Print the result as one JSON document");
  collect->callback([arguments, &run] { run_bench_collect(*arguments, run); });
  add_bench_generate(*bench, run);
}

}  // namespace foregate
