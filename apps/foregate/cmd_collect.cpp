#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/number_text.h"
#include "collect/collector.h"
#include "commands.h"
#include "generate_options.h"
#include "model_options.h"
#include "models/registry.h"
#include "options/number_options.h"
#include "output.h"
#include "record_options.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate collect --model Qwen/Qwen1.5-MoE-A2.7B --data imdb=imdb/test.csv --data "
    "ag_news=ag_news/test.csv \\\n"
    "      --traces 20000 --output traces\n"
    "  foregate collect --model DIR --data mine=texts.jsonl:body --record features:0.1 --output "
    "traces\n"
    "  foregate collect --model DIR --data mine=prompts.txt --generate 128 --temperature 1 "
    "--output "
    "traces\n"
    "Stopped at any moment, the same command continues where it was; with more --traces a finished "
    "trace grows.\n"
    "Datasets with presets: imdb, yelp_review_full, ag_news, squad, amazon_polarity, dbpedia_14; "
    "any CSV, TSV,\n"
    "JSON, JSONL, Parquet or text file works as NAME=PATH[:COLUMN].";

struct Arguments {
  collect::CollectOptions options;
  std::string model;
  std::vector<std::string> data;
  std::vector<std::string> record;
  std::optional<int64_t> generate;
  SamplingArguments sampling;
  ComputeArguments compute;
  std::string max_memory;
  bool json = false;
};

void print_summary(const collect::CollectSummary& summary, const collect::CollectOptions& options,
                   bool json) {
  const trace::Manifest& manifest = summary.manifest;
  const int64_t decisions = manifest.num_tokens() * manifest.geometry.num_moe_layers;
  if (json) {
    Json result = manifest.to_json();
    result["output"] = options.output.string();
    result["traces"] = manifest.num_traces();
    result["tokens"] = manifest.num_tokens();
    result["decisions"] = decisions;
    result["resumed_traces"] = summary.resumed_traces;
    result["already_complete"] = summary.already_complete;
    result["seconds"] = summary.seconds;
    print_json(result);
    return;
  }
  const std::string content = fmt::format("{}, {}, {}", number_of(manifest.num_traces(), "trace"),
                                          number_of(manifest.num_tokens(), "token"),
                                          number_of(decisions, "routing decision"));
  if (summary.already_complete) {
    print_line(fmt::format("{} is complete already: {}", options.output.string(), content));
  } else {
    print_line(
        fmt::format("{}: {} in {}", options.output.string(), content, clock_time(summary.seconds)));
  }
}

// How texts are continued: by the command line and, where it is silent, generation_config.json.
void set_continuation(Arguments& arguments, Logger& log) {
  collect::CollectOptions& options = arguments.options;
  if (!arguments.generate) {
    if (arguments.sampling.any()) {
      throw UsageError("options of sampling are given without --generate N; give it, too");
    }
    if (options.compute.kv_dtype) {
      throw UsageError("--kv-dtype is given without --generate N; give it, too");
    }
    return;
  }
  const engine::GenerationDefaults defaults = read_defaults(options.model, log);
  options.generate = parse_sampling(arguments.sampling, defaults,
                                    models::read_model_config(options.model).vocab_size);
  options.generate->seed = options.seed;
  options.generate->max_tokens = *arguments.generate;
}

void run_collect(Arguments& arguments, const RunContext& run) {
  collect::CollectOptions& options = arguments.options;
  set_texts_and_model(arguments.data, arguments.model, options);
  const RecordedStates states = parse_states(arguments.record, "--record");
  options.record_logits = states.logits;
  options.feature_fraction = states.feature_fraction;
  if (!arguments.max_memory.empty()) {
    options.max_memory = parse_bytes(arguments.max_memory, "--max-memory");
  }
  options.compute = parse_compute(arguments.compute, run.log);
  set_continuation(arguments, run.log);
  print_summary(collect::collect(options, run), options, arguments.json);
}

}  // namespace

void add_collect_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  collect::CollectOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("collect", "Run texts through an MoE model and record its routing");
  command->footer(kFooter);
  command
      ->add_option(
          "--model", arguments->model,
          "Checkpoint directory in the Hugging Face layout, GGUF file, or OWNER/NAME that was "
          "pulled")
      ->required();
  add_data_option(*command, arguments->data, "; PATH may be OWNER/NAME[/FILE] that was pulled")
      ->required();
  command->add_option("-o,--output", options.output, "Trace directory to make or continue")
      ->required();
  add_number_option(*command, "--traces", options.traces, {1, kMostCounted},
                    "Traces in all, shared equally over the datasets");
  add_number_option(*command, "--max-length", options.max_length, {1, kMostAtOnce},
                    "Cut texts to this many tokens");
  add_device_option(*command, arguments->compute.device);
  add_dtype_option(*command, arguments->compute.dtype);
  add_quantize_option(*command, arguments->compute.quantization,
                      "Keep the weights of attention and experts in int8 or nf4; none: in --dtype "
                      "(default: the first of none, int8, nf4 that fits into memory)");
  command->add_option("--save-quantized", options.save_quantized,
                      "Folder for the quantised model, made once and read by the next start; it "
                      "can be a --model too");
  command->add_option("--max-memory", arguments->max_memory,
                      "Memory of the device to fit into, e.g. 8GB or 7.5GiB (default: what is "
                      "free)");
  add_states_option(*command, "--record", arguments->record);
  add_number_option(*command, "--generate", arguments->generate, {1, kMostAtOnce},
                    "Continue every text by this many tokens, and record these too");
  add_sampling_options(*command, arguments->sampling);
  add_kv_dtype_option(*command, arguments->compute.kv_dtype);
  add_seed_option(*command, "--seed", options.seed, "Chooses the texts, and later the split");
  command->add_flag("--strict", options.strict, "A dataset with too few texts is an error");
  add_number_option(*command, "--shard-traces", options.shard_traces, {1, kMostCounted},
                    "Traces in one shard; a stopped run loses at most one");
  add_number_option(*command, "--batch-tokens", options.batch_tokens, {0, kMostAtOnce},
                    "Tokens run at once; 0 chooses for the device and its free memory");
  command->add_flag("--json", arguments->json, "Print the result as one JSON document");
  command->callback([arguments, &run] { run_collect(*arguments, run); });
}

}  // namespace foregate
