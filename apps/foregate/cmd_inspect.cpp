#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/containers/gguf_header.h"
#include "base/error.h"
#include "base/files.h"
#include "base/number_text.h"
#include "base/run_context.h"
#include "commands.h"
#include "engine/trace_geometry.h"
#include "hub/resolve.h"
#include "inspect_fidelity.h"
#include "models/gguf/gguf_model.h"
#include "models/model_files.h"
#include "models/registry.h"
#include "models/summary.h"
#include "output.h"
#include "predict/predictor_store.h"
#include "tensor/files/checkpoint.h"
#include "tensor/files/gguf_split.h"
#include "text/tokenizer/tokenizer.h"
#include "trace/reader.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate inspect MODEL_DIR\n"
    "  foregate inspect Qwen/Qwen1.5-MoE-A2.7B\n"
    "  foregate inspect traces --json\n"
    "  foregate inspect predictor\n"
    "  foregate inspect MODEL_DIR/config.json\n"
    "  foregate inspect model-Q4_K_M.gguf\n"
    "  foregate inspect MODEL_DIR/tokenizer.json\n"
    "  foregate inspect MODEL_DIR --fidelity --quantize int8 --data imdb=imdb/test.csv";

struct Arguments {
  std::string path;
  FidelityArguments fidelity;
  bool json = false;
};

Json geometry_json(const trace::Geometry& geometry) {
  return {{"moe_layers", geometry.num_moe_layers},
          {"experts", geometry.num_experts},
          {"top_k", geometry.top_k},
          {"hidden_size", geometry.hidden_size},
          {"decoder_layers", geometry.num_decoder_layers},
          {"vocabulary", geometry.vocab_size}};
}

/// Bytes a token takes in a trace before compression: ids, experts and gate weights.
int64_t trace_bytes_per_token(const trace::Geometry& geometry) {
  const int64_t expert_bytes = geometry.num_experts <= 256 ? 1 : 2;
  return 4 + static_cast<int64_t>(geometry.num_moe_layers) * geometry.top_k * (expert_bytes + 2);
}

/// The files of a model's weights: how many there are and what they take, and those that are not
/// here.
Json weight_files_json(const std::filesystem::path& directory, Logger& log) {
  const std::vector<std::string> names = tensor::weight_files(directory);
  const fs::path folder = tensor::weights_folder(directory);
  uint64_t bytes = 0;
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    std::error_code error;
    const uintmax_t size = fs::file_size(folder / name, error);
    if (error) {
      missing.push_back(name);
    } else {
      bytes += size;
    }
  }
  if (names.empty()) {
    log.warning(
        "{} holds no weights (neither model.safetensors nor an index of shards); what follows "
        "is what config.json says",
        directory.string());
  } else if (!missing.empty()) {
    log.warning(
        "{}: {} of {} weight files are not here, {} among them; what follows is what "
        "config.json says",
        directory.string(), missing.size(), names.size(), missing.front());
  }
  return {{"here", names.size() - missing.size()}, {"missing", missing.size()}, {"bytes", bytes}};
}

/// `model`: see models::read_config.
Json inspect_model(const std::filesystem::path& model) {
  const models::ModelConfig config = models::read_model_config(model);
  const models::ModelSummary summary = models::summarize(config);
  const auto bytes = [](int64_t parameters) {
    return Json{{"16-bit", parameters * 2}, {"8-bit", parameters}, {"4-bit", parameters / 2}};
  };
  return {{"kind", "model"},
          {"model_type", config.model_type},
          {"weights", models::weights_description(model, config)},
          {"geometry", geometry_json(engine::geometry_of(config))},
          {"parameters",
           {{"total", summary.total},
            {"active", summary.active},
            {"routed_experts", summary.routed_experts},
            {"per_expert", summary.per_expert}}},
          {"weight_bytes", bytes(summary.total)},
          {"expert_bytes", bytes(summary.per_expert)},
          {"trace_bytes_per_token", trace_bytes_per_token(engine::geometry_of(config))},
          {"longest_text", config.max_positions}};
}

Json inspect_trace(const std::filesystem::path& directory) {
  const trace::TraceDirectory trace(directory, /*allow_unfinished=*/true);
  const std::vector<std::string> problems = trace::verify_shards(trace);
  if (!problems.empty()) throw DataError(problems.front());
  const trace::Manifest& manifest = trace.manifest();
  Json datasets = Json::array();
  for (const trace::DatasetEntry& dataset : manifest.datasets) {
    datasets.push_back({{"name", dataset.name},
                        {"traces", dataset.traces},
                        {"available", dataset.available},
                        {"skipped_rows", dataset.skipped}});
  }
  int64_t bytes = 0;
  int64_t feature_bytes = 0;
  for (const trace::ShardEntry& shard : manifest.shards) {
    bytes += shard.bytes;
    feature_bytes += shard.feature_bytes;
  }
  return {{"kind", "trace"},
          {"complete", manifest.complete},
          {"model", manifest.model},
          {"model_type", manifest.model_type},
          {"dtype", manifest.dtype},
          {"quantization", manifest.quantization},
          {"geometry", geometry_json(manifest.geometry)},
          {"token_ids", trace::description(manifest.token_ids)},
          {"traces", manifest.num_traces()},
          {"tokens", manifest.num_tokens()},
          {"decisions", manifest.num_tokens() * manifest.geometry.num_moe_layers},
          {"shards", manifest.shards.size()},
          {"bytes", bytes},
          {"feature_bytes", feature_bytes},
          {"seed", manifest.seed},
          {"max_length", manifest.max_length},
          {"datasets", datasets}};
}

Json inspect_tokenizer(const std::filesystem::path& path, Logger& log) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(path);
  for (const std::string& note : tokenizer.notes()) log.warning("{}", note);
  return {{"kind", "tokenizer"},
          {"description", tokenizer.kind()},
          {"vocabulary", tokenizer.vocab_size()}};
}

/// A model with its tokenizer, or, as some files hold no more, a tokenizer.
Json inspect_gguf(const std::filesystem::path& path, Logger& log) {
  Json tokenizer = inspect_tokenizer(tensor::first_gguf_file(path), log);
  if (models::GgufModel(path).files().front()->entries().empty()) return tokenizer;
  Json model = inspect_model(path);
  tokenizer.erase("kind");
  model["weight_files"] = weight_files_json(path, log);
  model["tokenizer"] = tokenizer;
  return model;
}

Json inspect_shard(const std::filesystem::path& path) {
  const trace::Geometry geometry = trace::read_shard_geometry(path);
  trace::ShardReader reader(path, geometry);
  int64_t tokens = 0;
  trace::Trace trace;
  while (reader.next(trace)) tokens += trace.num_tokens();
  return {{"kind", "shard"},
          {"geometry", geometry_json(geometry)},
          {"traces", reader.num_rows()},
          {"tokens", tokens}};
}

Json inspect_path(const std::filesystem::path& path, Logger& log) {
  if (!fs::exists(path))
    throw EnvironmentError(fmt::format("no such file or directory: {}", path.string()));
  if (fs::is_directory(path)) {
    if (fs::exists(path / trace::kManifestName)) return inspect_trace(path);
    if (predict::is_predictor_directory(path)) return predict::describe_predictor(path);
    if (fs::exists(path / "config.json")) {
      Json model = inspect_model(path / "config.json");
      model["weight_files"] = weight_files_json(path, log);
      return model;
    }
    throw DataError(
        fmt::format("{} is neither a trace ({}), a predictor ({}) nor a model (config.json)",
                    path.string(), trace::kManifestName, scoring::kPredictorFile));
  }
  if (path.extension() == ".parquet") return inspect_shard(path);
  if (is_gguf_file(path)) return inspect_gguf(path, log);
  if (path.extension() == ".tiktoken") return inspect_tokenizer(path, log);
  if (path.extension() == ".json") {
    return read_json(path).contains("model_type") ? inspect_model(path)
                                                  : inspect_tokenizer(path, log);
  }
  throw DataError(
      fmt::format("{} is no file that foregate knows; expected a directory, a config.json, a "
                  "tokenizer.json, a GGUF file or a .parquet shard",
                  path.string()));
}

bool counts_bytes(const std::string& key) {
  return key.find("bytes") != std::string::npos && key.find("per_token") == std::string::npos;
}

std::string shown(const Json& value, bool bytes) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number_integer()) return value.dump();
  return bytes ? human_bytes(value.get<uint64_t>()) : with_commas(value.get<int64_t>());
}

/// One "key  value" line each, objects and lists indented.
void print_fields(const Json& json, int indent, bool bytes) {
  for (const auto& [key, value] : json.items()) {
    const bool in_bytes = bytes || counts_bytes(key);
    const std::string name = std::string(static_cast<size_t>(indent), ' ') + key;
    if (value.is_object()) {
      print_line(name);
      print_fields(value, indent + 2, in_bytes);
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      print_line(name);
      for (const Json& entry : value) {
        std::string line;
        for (const auto& [field, content] : entry.items()) {
          line += (line.empty() ? "" : ", ") + field + " " + shown(content, false);
        }
        print_line(std::string(static_cast<size_t>(indent) + 2, ' ') + line);
      }
    } else {
      print_line(fmt::format("{:<24} {}", name, shown(value, in_bytes)));
    }
  }
}

void run_inspect(Arguments& arguments, const RunContext& run) {
  const std::filesystem::path path =
      hub::find_model(arguments.path, {.files = {"config.json"}}, hub::read_environment());
  if (arguments.fidelity.wanted) {
    run_fidelity(path, arguments.fidelity, arguments.json, run);
    return;
  }
  const Json result = inspect_path(path, run.log);
  if (arguments.json) {
    print_json(result);
  } else {
    print_fields(result, 0, false);
  }
}

}  // namespace

void add_inspect_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("inspect", "Show what a model, trace, predictor or tokenizer is");
  command->footer(kFooter);
  command
      ->add_option("path", arguments->path,
                   "Model, trace or predictor directory, config.json, tokenizer.json, GGUF file, "
                   "shard, or OWNER/NAME of a model that was pulled")
      ->required();
  command->add_flag("--json", arguments->json, "Print one JSON document");
  add_fidelity_options(*command, arguments->fidelity);
  command->callback([arguments, &run] { run_inspect(*arguments, run); });
}

}  // namespace foregate
