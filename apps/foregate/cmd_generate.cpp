#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/files.h"
#include "base/host_memory.h"
#include "base/number_text.h"
#include "collect/generation_trace.h"
#include "collect/options.h"
#include "collect/session.h"
#include "commands.h"
#include "engine/generation/generator.h"
#include "engine/generation/memory.h"
#include "generate_check.h"
#include "generate_offload.h"
#include "generate_options.h"
#include "generate_output.h"
#include "generate_prompts.h"
#include "generate_report.h"
#include "generate_results.h"
#include "hub/resolve.h"
#include "model_options.h"
#include "models/model_files.h"
#include "models/registry.h"
#include "models/weights/weight_digests.h"
#include "options/number_options.h"
#include "output.h"
#include "record_options.h"
#include "tensor/device/device_memory.h"
#include "tensor/dtype.h"
#include "text/tokenizer/formats/tokenizer_path.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate generate --model DIR --prompt 'The harbour was quiet before dawn'\n"
    "  foregate generate --model DIR --prompt 'Once' --temperature 0.8 --top-p 0.95 --seed 7\n"
    "  foregate generate --model DIR --prompts texts.csv:body --max-tokens 64 --output out.jsonl\n"
    "  foregate generate --model DIR --prompts texts.csv:body --record traces\n"
    "  foregate generate --model DIR --prompt 'Once' --offload ram --cache-memory 40%\n"
    "  cat question.txt | foregate generate --model DIR --json\n"
    "A prompt's text goes to stdout as it comes, results of a file as JSON lines. With --output "
    "or --record,\n"
    "stopped at any moment, the same command continues where it was.";

// As much at once as one step's weights are read for.
constexpr int64_t kCpuSequences = 8;
constexpr int64_t kGpuSequences = 32;
constexpr int64_t kCpuStepTokens = 512;
constexpr int64_t kGpuStepTokens = 4096;

int64_t step_tokens(torch::Device device) {
  return device.is_cpu() ? kCpuStepTokens : kGpuStepTokens;
}

struct Arguments {
  std::string model;
  std::string prompt;
  std::string prompts;
  std::filesystem::path output;
  std::filesystem::path record;
  std::vector<std::string> states;
  GenerationArguments generation;
  ComputeArguments compute;
  int64_t batch = 0;  ///< 0: by the device
  std::string kv_memory;
  std::string max_memory;
  OffloadArguments offload;
  bool check = false;
  bool no_special = false;
  bool json = false;
  bool has_prompt = false;
};

struct Job {
  std::filesystem::path model;
  models::ModelConfig config;
  std::optional<text::Tokenizer> tokenizer;
  std::unique_ptr<PromptSource> source;
  bool several = false;  ///< a file of prompts
  tensor::Compute compute;
  engine::GenerationRequest like;  ///< every request, but for its prompt
  bool max_tokens_given = false;
  bool add_special = true;
};

std::unique_ptr<PromptSource> open_prompts(const Arguments& arguments) {
  if (arguments.has_prompt && !arguments.prompts.empty()) {
    throw UsageError("--prompt and --prompts are given; choose one");
  }
  if (arguments.has_prompt) return single_prompt(arguments.prompt);
  if (!arguments.prompts.empty()) return prompts_of_file(arguments.prompts);
  return prompts_of_standard_input();
}

// What tokens follow from, beside the model and what it runs in.
Json continuation_of(const Job& job) {
  Json settings{{"prompts", job.source->description()},
                {"prompts_sha256", job.source->sha256()},
                {"special_tokens", job.add_special}};
  settings.update(settings_json(job.like, job.compute));
  return settings;
}

// Everything a resumed run must have in common with the one it continues.
Json settings_of(const Job& job) {
  Json settings{{"model", hub::model_name(job.model)},
                {"config_sha256", models::config_digest(job.model)},
                {"device", job.compute.device.is_cpu() ? "cpu" : "cuda"},
                {"dtype", tensor::dtype_name(job.compute.dtype)},
                {"quantization", tensor::quantization_name(*job.compute.quantization)}};
  settings.update(continuation_of(job));
  settings["logprobs"] = job.like.logprobs;
  if (job.tokenizer) settings["tokenizer_sha256"] = text::tokenizer_digest(job.model);
  return settings;
}

trace::Manifest manifest_of(const Job& job, const RecordedStates& states,
                            const std::vector<FileDigest>& weights) {
  trace::Manifest manifest = collect::manifest_of_model(job.model, job.config, job.compute);
  manifest.model = hub::model_name(job.model);
  manifest.weights = weights;
  manifest.seed = job.like.seed;
  manifest.router_logits = states.logits;
  manifest.feature_fraction = states.feature_fraction;
  manifest.shard_traces = collect::kDefaultShardTraces;
  manifest.batch_tokens = step_tokens(job.compute.device);
  manifest.datasets = {{.name = collect::kPromptsName,
                        .source = job.source->description(),
                        .sha256 = job.source->sha256()}};
  return manifest;
}

// Files and folders that the run fills; null without.
struct Outputs {
  std::unique_ptr<GenerationFile> file;
  std::unique_ptr<collect::GenerationTrace> trace;
};

Outputs open_outputs(const Arguments& arguments, const Job& job, Logger& log) {
  const RecordedStates states = parse_states(arguments.states, "--record-also");
  Outputs outputs;
  if (arguments.record.empty() && !arguments.states.empty()) {
    throw UsageError("--record-also is given without --record DIR; give it, too");
  }
  if (arguments.output.empty() && arguments.record.empty()) return outputs;
  if (job.source->interactive()) {
    throw UsageError(
        fmt::format("{} needs --prompt, --prompts, or standard input that is no terminal",
                    arguments.output.empty() ? "--record" : "--output"));
  }
  const std::vector<FileDigest> weights = models::weight_digests(job.model, job.config);
  if (!arguments.output.empty()) {
    outputs.file = std::make_unique<GenerationFile>(
        arguments.output, GenerationSettings{settings_of(job), weights}, log);
  }
  if (!arguments.record.empty()) {
    outputs.trace = std::make_unique<collect::GenerationTrace>(
        arguments.record, manifest_of(job, states, weights), continuation_of(job), log);
  }
  return outputs;
}

// Texts that grow at once. Where each answer is waited for, a second prompt never comes.
int64_t sequences_at_once(const Arguments& arguments, const Job& job) {
  if (job.source->interactive()) return 1;
  if (arguments.batch > 0) return arguments.batch;
  return job.compute.device.is_cpu() ? kCpuSequences : kGpuSequences;
}

int64_t cache_token_bytes(const Job& job) {
  return engine::bytes_per_token(engine::kv_layout(job.config), job.compute.cache_dtype());
}

// What --max-memory leaves for keys and values beside weights and steps; nothing without it. What
// does not fit is refused before a large model is loaded.
std::optional<int64_t> room_within_limit(const Arguments& arguments, const Job& job,
                                         const Offload& offload) {
  if (arguments.max_memory.empty()) return std::nullopt;
  const int64_t memory = parse_bytes(arguments.max_memory, "--max-memory");
  const torch::Device device = job.compute.device;
  engine::GenerationLoad load{.cache_bytes = engine::KvCache::kPageTokens * cache_token_bytes(job),
                              .step_tokens = step_tokens(device),
                              .sequences = sequences_at_once(arguments, job)};
  if (offload.cache()) load.expert_slots = offload.cache()->slots;
  if (!arguments.kv_memory.empty()) {
    load.cache_bytes = parse_bytes(arguments.kv_memory, "--kv-memory");
  }
  engine::require_memory(job.config, job.compute, load, memory, hub::model_name(job.model));
  tensor::limit_device_memory(device, memory);
  load.cache_bytes = 0;
  return memory - engine::generation_needs(job.config, job.compute, load).total();
}

int64_t cache_bytes(const Arguments& arguments, const Job& job, std::optional<int64_t> room) {
  if (!arguments.kv_memory.empty()) return parse_bytes(arguments.kv_memory, "--kv-memory");
  constexpr int64_t kPage = engine::KvCache::kPageTokens;
  const int64_t longest = (job.config.max_positions + kPage - 1) / kPage * kPage;
  const int64_t useful = sequences_at_once(arguments, job) * longest * cache_token_bytes(job);
  const torch::Device device = job.compute.device;
  const int64_t free = room              ? *room
                       : device.is_cpu() ? available_host_memory() / 4
                                         : tensor::device_memory(device).free / 2;
  return free > 0 ? std::min(useful, free) : useful;
}

engine::GeneratorOptions generator_options(const Arguments& arguments, const Job& job,
                                           std::optional<int64_t> room, Logger& log) {
  return {.cache_bytes = cache_bytes(arguments, job, room),
          .max_sequences = sequences_at_once(arguments, job),
          .step_tokens = step_tokens(job.compute.device),
          .log = &log};
}

// The request for a prompt. Without a number on the command line, as many tokens as fit.
engine::GenerationRequest request_for(const Job& job, const engine::Generator& generator,
                                      const Prompt& prompt) {
  engine::GenerationRequest request = job.like;
  request.id = prompt.row;
  request.stream = static_cast<uint64_t>(prompt.row);
  request.prompt =
      job.source->gives_ids() ? prompt.ids : job.tokenizer->encode(prompt.text, job.add_special);
  const int64_t room = generator.context_limit() - static_cast<int64_t>(request.prompt.size());
  if (!job.max_tokens_given && room > 0) request.max_tokens = std::min(request.max_tokens, room);
  return request;
}

// The next prompt that can be run and was not, passing on why others cannot.
std::optional<engine::GenerationRequest> next_request(const Job& job,
                                                      const engine::Generator& generator,
                                                      GenerationResults& results) {
  Prompt prompt;
  while (job.source->next(prompt)) {
    results.count_prompt();
    if (results.had(prompt.row)) continue;
    engine::GenerationRequest request = request_for(job, generator, prompt);
    const std::string refusal = generator.refusal(request);
    if (refusal.empty()) {
      results.expect(prompt);
      return request;
    }
    if (!job.several) throw DataError(refusal);
    results.refuse(prompt.row, refusal);
  }
  return std::nullopt;
}

Job prepare(const Arguments& arguments, const RunContext& run) {
  Job job;
  job.source = open_prompts(arguments);
  job.several = !arguments.prompts.empty();
  const bool ids = job.source->gives_ids();
  std::vector<std::string> files = {"config.json"};
  if (!ids) files.emplace_back("tokenizer.json");
  job.model =
      hub::find_model(arguments.model, {.files = files, .weights = true}, hub::read_environment());
  job.config = models::read_model_config(job.model);
  const std::filesystem::path tokenizer = text::tokenizer_path(job.model);
  if (!ids || fs::exists(tokenizer)) {
    job.tokenizer = text::Tokenizer::load(tokenizer);
  } else if (!arguments.generation.stop.empty()) {
    throw UsageError(
        fmt::format("--stop needs a tokenizer, and {} has no tokenizer.json", job.model.string()));
  }
  job.compute = parse_compute(arguments.compute, run.log);
  if (!job.compute.quantization) job.compute.quantization = tensor::Quantization::kNone;
  job.max_tokens_given = arguments.generation.max_tokens.has_value();
  job.add_special = !arguments.no_special;
  job.like = parse_generation(arguments.generation, read_defaults(job.model, run.log),
                              job.config.vocab_size);
  return job;
}

void report_skipped(const Job& job, const GenerationResults& results, Logger& log) {
  for (const auto& [reason, rows] : job.source->skipped()) {
    log.warning("{}: {} left out: {}", job.source->description(), number_of(rows, "row"), reason);
  }
  if (results.refused() > 0) {
    log.warning("{}: {} refused, the first in {}", job.source->description(),
                number_of(results.refused(), "prompt"), results.first_refusal());
  }
}

GenerationResults::Form form_of(const Arguments& arguments, const Job& job) {
  if (!arguments.output.empty()) return GenerationResults::Form::kFile;
  if (arguments.json) return GenerationResults::Form::kDocument;
  return job.several ? GenerationResults::Form::kLines : GenerationResults::Form::kText;
}

Json document_of(const engine::GenerationStats& stats, const engine::Generator& generator,
                 const Job& job, const Outputs& outputs, const Arguments& arguments,
                 GenerationResults& results) {
  Json document{{"model", hub::model_name(job.model)},
                {"device", job.compute.device.str()},
                {"dtype", tensor::dtype_name(job.compute.dtype)},
                {"quantization", tensor::quantization_name(*job.compute.quantization)},
                {"kv_dtype", tensor::dtype_name(job.compute.cache_dtype())}};
  document.update(generation_stats(stats, generator, job.compute.device));
  document["refused"] = results.refused();
  if (outputs.trace) {
    document["record"] = arguments.record.string();
    document["traces"] = outputs.trace->manifest().num_traces();
  }
  if (outputs.file) {
    document["output"] = arguments.output.string();
    document["resumed"] = outputs.file->done().size();
  } else {
    document["results"] = results.take_rows();
  }
  return document;
}

engine::Generator::TokenBytes token_bytes_of(const Job& job) {
  if (!job.tokenizer) return {};
  return [&](int32_t id) { return job.tokenizer->token_bytes(id); };
}

// Runs the job; with a check, once more with all experts on the device.
class GenerateRun {
 public:
  GenerateRun(const Arguments& arguments, const RunContext& run)
      : arguments_(arguments),
        run_(run),
        job_(prepare(arguments, run)),
        offload_(arguments.offload, job_.config, job_.compute, sequences_at_once(arguments, job_)),
        // What is refused is refused before a large model is loaded.
        room_(room_within_limit(arguments, job_, offload_)),
        outputs_(open_outputs(arguments, job_, run.log)),
        results_(form_of(arguments, job_), job_.tokenizer ? &*job_.tokenizer : nullptr,
                 outputs_.file.get(), outputs_.trace.get()),
        check_(results_) {
    if (arguments.check && !offload_.cache()) {
      throw UsageError("--check compares --offload ram with none; give --offload ram");
    }
  }

  void run() {
    generate();
    offload_.write_timeline();  // nobody adds to it any more
    if (arguments_.check && !interrupted_) document_["check"] = check();
    if (arguments_.json) print_json(document_);
    if (interrupted_) {
      throw InterruptedError(outputs_.file || outputs_.trace
                                 ? "stopped; prompts that were finished are kept: run the same "
                                   "command again to continue"
                                 : "stopped; texts end where they were");
    }
  }

 private:
  void generate() {
    engine::Engine engine(
        job_.model,
        {.compute = job_.compute, .expert_cache = offload_.cache(), .routing_only = false});
    options_ = generator_options(arguments_, job_, room_, run_.log);
    engine::Generator generator(engine, options_, token_bytes_of(job_));
    show_progress();
    if (outputs_.trace) outputs_.trace->set_routers(engine.routers());
    engine::NoObserver nobody;
    const engine::GenerationStats stats = generator.run(
        [&] { return next(generator); },
        arguments_.check ? static_cast<engine::GenerationListener&>(check_) : results_, run_.stop,
        outputs_.trace ? outputs_.trace->observer() : nobody);
    interrupted_ = stats.interrupted;
    finish(stats);
    if (arguments_.json) {
      document_ = document_of(stats, generator, job_, outputs_, arguments_, results_);
    } else {
      run_.log.info("{}", generation_summary(stats));
    }
    if (const auto counts = engine.expert_counts()) tell_of(*counts);
  }

  std::optional<engine::GenerationRequest> next(const engine::Generator& generator) {
    std::optional<engine::GenerationRequest> request = next_request(job_, generator, results_);
    if (request && arguments_.check) check_.expect(*request);
    return request;
  }

  void show_progress() {
    if (!outputs_.file) return;
    const int64_t done = std::ranges::count_if(outputs_.file->done(),
                                               [&](int64_t row) { return results_.had(row); });
    results_.show_progress(
        run_.progress.start({.label = "generate", .unit = "prompts", .done_before = done}), done);
  }

  void finish(const engine::GenerationStats& stats) {
    if (outputs_.trace && stats.interrupted) outputs_.trace->flush();
    if (outputs_.trace && !stats.interrupted) outputs_.trace->complete(results_.refused());
    if (!stats.interrupted) results_.finish_progress();
    report_skipped(job_, results_, run_.log);
    if (results_.prompts_seen() == 0 && !stats.interrupted && !job_.source->interactive()) {
      throw DataError(fmt::format("{} holds no prompt", job_.source->description()));
    }
  }

  void tell_of(const engine::ExpertCounts& counts) {
    if (arguments_.json) {
      document_["offload"] = offload_.json(counts);
    } else if (const std::string summary = offload_summary(counts); !summary.empty()) {
      run_.log.info("{}", summary);
    }
  }

  Json check() {
    engine::Engine engine(job_.model, {.compute = job_.compute, .routing_only = false});
    Json checked = check_.compare(engine, options_, token_bytes_of(job_), run_.stop);
    if (!arguments_.json) {
      run_.log.info(
          "check: the same tokens and the same bits of all logits with every expert at "
          "hand, in {}",
          number_of(checked["steps"].get<int64_t>(), "step"));
    }
    return checked;
  }

  const Arguments& arguments_;
  const RunContext& run_;
  const Job job_;
  const Offload offload_;
  const std::optional<int64_t> room_;
  const Outputs outputs_;
  GenerationResults results_;
  GenerationCheck check_;
  engine::GeneratorOptions options_;
  Json document_;
  bool interrupted_ = false;
};

}  // namespace

void add_generate_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("generate", "Continue prompts with an MoE model");
  command->footer(kFooter);
  command
      ->add_option(
          "--model", arguments->model,
          "Checkpoint directory in the Hugging Face layout, GGUF file, or OWNER/NAME that was "
          "pulled")
      ->required();
  CLI::Option* prompt = command->add_option("--prompt", arguments->prompt, "Text to continue");
  command->add_option("--prompts", arguments->prompts,
                      "FILE[:COLUMN] of prompts, a row each: text lines, CSV, TSV, JSON, JSONL, "
                      "Parquet; JSONL with \"ids\" holds token ids");
  command->add_option("-o,--output", arguments->output,
                      "JSONL file for the results, made or continued");
  command->add_option("--record", arguments->record,
                      "Trace directory for the routing of prompts and texts, made or continued");
  add_states_option(*command, "--record-also", arguments->states);
  add_generation_options(*command, arguments->generation);
  command->add_flag("--no-special", arguments->no_special,
                    "Without the tokens a post-processor adds to the prompt");
  add_number_option(*command, "--batch", arguments->batch, {0, 1 << 16},
                    fmt::format("Texts continued at once; 0 chooses: {} on the CPU, {} on a GPU",
                                kCpuSequences, kGpuSequences));
  command->add_option("--kv-memory", arguments->kv_memory,
                      "Memory for keys and values, e.g. 2GB (default: what --batch texts can use, "
                      "at most a quarter of the free host memory or half of a GPU's)");
  add_kv_dtype_option(*command, arguments->compute.kv_dtype);
  command->add_option("--max-memory", arguments->max_memory,
                      "Memory of the device to fit into with weights, keys and values, e.g. 8GB "
                      "(default: what there is)");
  add_offload_options(*command, arguments->offload);
  command->add_flag(
      "--check", arguments->check,
      "Run everything once more without --offload, and compare tokens and the bits of "
      "all logits");
  add_device_option(*command, arguments->compute.device);
  add_dtype_option(*command, arguments->compute.dtype);
  add_quantize_option(*command, arguments->compute.quantization,
                      "Keep the weights of attention and experts in int8 or nf4 (default: none)");
  command->add_flag("--json", arguments->json,
                    "Print results, times and memory as one JSON document");
  command->callback([arguments, prompt, &run] {
    arguments->has_prompt = prompt->count() > 0;
    GenerateRun(*arguments, run).run();
  });
}

}  // namespace foregate
