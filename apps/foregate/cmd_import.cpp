#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/files.h"
#include "base/number_text.h"
#include "commands.h"
#include "hub/resolve.h"
#include "options/number_options.h"
#include "output.h"
#include "text/tokenizer/formats/tokenizer_path.h"
#include "text/tokenizer/tokenizer.h"
#include "trace/geometry.h"
#include "trace/import/import.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate import --format vllm --output traces routing.jsonl\n"
    "  foregate import --format sglang --output traces responses.jsonl\n"
    "formats:\n"
    "  vllm, sglang  JSON lines (or whole JSON files): responses of the engine as they are "
    "(choices, "
    "meta_info,\n"
    "        prompt_routed_experts; lists or base64), a text a line (routed_experts, token_ids), "
    "or a "
    "routing\n"
    "        decision a line (req_id, token_idx, layer, topk_ids, topk_weights; or problem_id, "
    "token_idx,\n"
    "        layer, experts, gating_probs)\n"
    "  megatron  JSON lines of --moe-routing-trace-path (step, layer, rank, top_indices)\n"
    "  npy   requests.jsonl with an array [tokens, layers, k] a line, or NAME.experts.npy with "
    "NAME.meta.jsonl\n"
    "  csv   a decision a row: Layer ID, Batch Number, Token, Activated Expert IDs\n"
    "A folder is read file by file, and what is compressed is unpacked. What `foregate export` "
    "wrote is read by npy and vllm. "
    "docs/importing.md has examples.";

struct Arguments {
  trace::ImportOptions options;
  std::vector<fs::path> paths;
  std::string tokenizer;
  std::string format;
  bool json = false;
};

class ModelTokens : public trace::TokenDictionary {
 public:
  explicit ModelTokens(fs::path path)
      : path_(std::move(path)), tokenizer_(text::Tokenizer::load(path_)) {}

  std::string name() const override { return path_.string(); }
  std::string sha256() const override { return text::tokenizer_digest(path_); }
  int32_t size() const override { return tokenizer_.vocab_size(); }
  std::string spelled(int32_t id) const override { return tokenizer_.token(id); }
  std::string decoded(int32_t id) const override { return tokenizer_.decoded_token(id); }

 private:
  fs::path path_;
  text::Tokenizer tokenizer_;
};

std::shared_ptr<const trace::TokenDictionary> load_tokenizer(const std::string& name) {
  if (name.empty()) return nullptr;
  const fs::path model =
      hub::find_model(name, {.files = {"tokenizer.json"}}, hub::read_environment());
  return std::make_shared<ModelTokens>(text::tokenizer_path(model));
}

void print_summary(const trace::ImportSummary& summary, const Arguments& arguments) {
  const trace::Manifest& manifest = summary.manifest;
  const trace::Geometry& geometry = manifest.geometry;
  if (arguments.json) {
    Json result = manifest.to_json();
    result["output"] = arguments.options.output.string();
    result["traces"] = manifest.num_traces();
    result["tokens"] = manifest.num_tokens();
    result["decisions"] = manifest.num_tokens() * geometry.num_moe_layers;
    result["dropped_texts"] = summary.dropped_texts;
    result["cut_texts"] = summary.cut_texts;
    result["cut_tokens"] = summary.cut_tokens;
    result["token_names"] = summary.token_names;
    result["left_out"] = summary.left_out.to_json();
    print_json(result);
    return;
  }
  print_line(fmt::format(
      "{}: {}, {}, {} of {}", arguments.options.output.string(),
      number_of(manifest.num_traces(), "trace"), number_of(manifest.num_tokens(), "token"),
      number_of(manifest.num_tokens() * geometry.num_moe_layers, "routing decision"),
      manifest.model));
  print_line(fmt::format("{}, {}, top-{}; {} gate weights; token ids: {}",
                         number_of(geometry.num_moe_layers, "MoE layer"),
                         number_of(geometry.num_experts, "expert"), geometry.top_k,
                         manifest.gate_weights ? "with" : "without",
                         trace::description(manifest.token_ids)));
  if (summary.cut_tokens > 0) {
    print_line(fmt::format("missing decisions: {} dropped, {} cut before the gap; {} lost",
                           number_of(summary.dropped_texts, "text"), with_commas(summary.cut_texts),
                           number_of(summary.cut_tokens, "token")));
  }
}

}  // namespace

void add_import_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  trace::ImportOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("import", "Turn another tool's routing record into a trace");
  command->footer(kFooter);
  command->add_option("--format", arguments->format, "vllm, sglang, megatron, npy or csv")
      ->required()
      ->check(CLI::IsMember({"vllm", "sglang", "megatron", "npy", "csv"}));
  command->add_option("path", arguments->paths, "Files or folders to read (npy: one)")->required();
  command->add_option("-o,--output", options.output, "Trace directory to make")->required();
  command->add_option("--model-name", options.model_name,
                      "Name of the model (default: what the record says, or its name)");
  add_number_option(*command, "--experts", options.num_experts, {1, trace::kMaxExperts},
                    "Experts per MoE layer (default: the largest id found + 1)");
  command->add_option(
      "--tokenizer", arguments->tokenizer,
      "The model's tokenizer.json, its directory, or OWNER/NAME of a model that was pulled: gives "
      "tokens that are strings in the record the model's ids");
  add_number_option(*command, "--top-k", options.top_k, {1, trace::kMaxExperts},
                    "sglang: experts a token has at a layer, where arrays have no shape (default: "
                    "found out)");
  add_number_option(*command, "--skip", options.skip, {0, kMostCounted},
                    "vllm: leave out this many routing rows at the beginning (warm-up)");
  command->add_flag("--allow-missing,--skip-bad", options.allow_missing,
                    "Leave out lines that are broken or cannot be meant, keep what is before a "
                    "missing decision (csv: drop the text), and count them, instead of refusing");
  command->add_flag("--json", arguments->json, "Print the result as one JSON document");
  command->callback([arguments, &run] {
    const std::map<std::string, trace::ImportFormat> formats = {
        {"vllm", trace::ImportFormat::kVllm},
        {"sglang", trace::ImportFormat::kVllm},  // Their lines are told apart as they are read.
        {"megatron", trace::ImportFormat::kVllm},
        {"npy", trace::ImportFormat::kNpy},
        {"csv", trace::ImportFormat::kCsv}};
    arguments->options.path = arguments->paths.front();
    arguments->options.more_paths = {arguments->paths.begin() + 1, arguments->paths.end()};
    arguments->options.format = formats.at(arguments->format);
    arguments->options.tokenizer = load_tokenizer(arguments->tokenizer);
    print_summary(trace::import_traces(arguments->options, run), *arguments);
  });
}

}  // namespace foregate
