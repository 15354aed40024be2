#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "trace/export/exported.h"
#include "trace/import/arrays.h"
#include "trace/import/json_lines.h"
#include "trace/import/source.h"
#include "trace/import/tokens.h"

namespace foregate::trace {
namespace {

/// The rows of one text, by NAME.meta.jsonl.
struct TextRows {
  int64_t first = 0;
  int64_t count = 0;
  int64_t first_token = 0;  ///< where the rows begin in the line's `tokens`
  int64_t prompt = 0;       ///< of the rows
};

TextRows read_text_rows(const JsonReader& line, const TokenList& tokens, int64_t rows) {
  TextRows text;
  text.first = line.integer("first_row", 0, rows - 1);
  text.count = line.integer("n_tokens", 1, rows - text.first);
  text.first_token = line.integer("first_pos", 0, INT32_MAX, 0);
  const int64_t given = tokens.size().value_or(text.first_token + text.count);
  if (text.first_token + text.count > given) {
    throw DataError(fmt::format("{}: {} tokens; expected at least first_pos + n_tokens = {}",
                                line.where(), given, text.first_token + text.count));
  }
  // `tokens` holds prompt and generation; the rows may begin behind the prompt.
  const int64_t generated = line.integer("n_gen", 0, given, given - text.first_token - text.count);
  const int64_t prompt = std::clamp<int64_t>(given - generated - text.first_token, 0, text.count);
  text.prompt = line.integer("prompt_tokens", 0, text.count, prompt);
  return text;
}

/// NAME.experts.npy [tokens of all texts, layers, k] with NAME.probs.npy or NAME.gate_weights.npy
/// alike, NAME.token_ids.npy [tokens], and NAME.meta.jsonl: a line a text. What `foregate export`
/// writes has export.json beside it.
class StackedArrays : public TraceSource {
 public:
  StackedArrays(const fs::path& file, const ImportOptions& options, const StopToken& stop)
      : allow_missing_(options.allow_missing),
        folder_(fs::weakly_canonical(file).parent_path()),
        name_(stem_of(file)),
        experts_(file),
        lines_(folder_ / (name_ + exported::kMetaSuffix), options.allow_missing),
        numbering_(names_, options.tokenizer.get()) {
    require_experts(experts_);
    open_optional(exported::kProbsSuffix, weights_);
    open_optional(exported::kWeightsSuffix, weights_);
    if (weights_) require_weights(*weights_, experts_);
    open_optional(exported::kTokenIdsSuffix, token_ids_);
    if (token_ids_) require_token_ids();
    std::vector<bool> covered(static_cast<size_t>(experts_.shape()[0]));
    Json json;
    while (lines_.next(json)) {
      stop.check("nothing was imported");
      const JsonReader line(json, lines_.where());
      const TokenList tokens = read_token_list(line);
      const TextRows rows = read_text_rows(line, tokens, experts_.shape()[0]);
      if (token_ids_) {
        numbering_.expect(TokenIds::kTokenizer, lines_.where());
      } else {
        numbering_.survey(tokens, lines_.where());
      }
      survey_.add(block_of(rows));
      std::fill_n(covered.begin() + static_cast<long>(rows.first), rows.count, true);
      ++num_texts_;
    }
    lines_.rewind();
    numbering_.settle(lines_.where(), left_out_);
    left_out_.uncovered = std::count(covered.begin(), covered.end(), false);
    describe();
  }

  int64_t num_texts() const override { return num_texts_; }

  bool next(SourceText& text) override {
    Json json;
    if (!lines_.next(json)) return false;
    const JsonReader line(json, lines_.where());
    const TokenList tokens = read_token_list(line);
    const TextRows rows = read_text_rows(line, tokens, experts_.shape()[0]);
    text = SourceText();
    text.where = fmt::format("{} (rows {} on of {})", lines_.where(), rows.first, experts_.name());
    text.trace.dataset = line.string("dataset", name_);
    text.trace.sample = line.integer("sample", 0, INT64_MAX, -1);
    const RoutingBlock block = block_of(rows);
    const RoutedSpan span = routed_span(block, moe_layers_);
    if (!span.gap.empty() && !allow_missing_) {
      throw DataError(fmt::format(
          "{}: no decision of {}; --allow-missing keeps of such texts what is before the gap",
          text.where, span.gap));
    }
    text.cut = span.cut;
    left_out_.unrouted += span.first + span.unrouted;
    copy_routing(block, moe_layers_, span, text.trace);
    text.trace.prompt_tokens =
        static_cast<int32_t>(std::clamp<int64_t>(rows.prompt - span.first, 0, span.count));
    if (token_ids_) {
      const int64_t first = rows.first + span.first;
      for (int64_t i = first; i < first + span.count; ++i) {
        text.trace.token_ids.push_back(static_cast<int32_t>(token_ids_->integer(i)));
      }
    } else {
      text.trace.token_ids = numbering_.ids(tokens, rows.first_token + span.first, span.count);
    }
    return true;
  }

 private:
  static std::string stem_of(const fs::path& file) {
    const std::string name = file.filename().string();
    const std::string_view suffix = exported::kExpertsSuffix;
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
    throw UsageError(
        fmt::format("{}: expected a file whose name ends in {}", file.string(), suffix));
  }

  RoutingBlock block_of(const TextRows& rows) const {
    return read_rows(experts_, weights_ ? &*weights_ : nullptr, rows.first, rows.count);
  }

  void open_optional(const char* suffix, std::optional<NpyArray>& array) const {
    const fs::path file = folder_ / (name_ + suffix);
    if (!array && fs::exists(file)) array.emplace(file);
  }

  void require_token_ids() const {
    token_ids_->require(/*real=*/false, 1, "integers [tokens]");
    if (token_ids_->size() != experts_.shape()[0]) {
      throw DataError(fmt::format("{}: {} ids; expected one for each of the {} rows of {}",
                                  token_ids_->name(), token_ids_->size(), experts_.shape()[0],
                                  experts_.name()));
    }
    for (int64_t i = 0; i < token_ids_->size(); ++i) {
      const int64_t id = token_ids_->integer(i);
      if (id >= 0 && id <= INT32_MAX) continue;
      throw DataError(fmt::format("{}: token id {} at [{}]; expected 0 to 2^31 - 1",
                                  token_ids_->name(), id, i));
    }
  }

  void describe() {
    const auto& shape = experts_.shape();
    moe_layers_ = survey_.moe_layers();
    if (moe_layers_.empty()) {
      throw DataError(fmt::format("{}: no text of it holds routing", experts_.name()));
    }
    const fs::path exported_manifest = folder_ / exported::kManifest;
    if (!fs::exists(exported_manifest)) {
      manifest_ = imported_manifest(folder_.filename().string());
      manifest_.gate_weights = weights_.has_value();
      manifest_.geometry = geometry_of(survey_, moe_layers_);
      left_out_.dense_layers = dense_layers(survey_, moe_layers_);
      manifest_.token_ids = numbering_.kind();
      return;
    }
    manifest_ = exported::read_manifest(read_json(exported_manifest), exported_manifest.string(),
                                        folder_, names_);
    knows_experts_ = true;
    const Geometry& geometry = manifest_.geometry;
    const bool dense = moe_layers_.size() < static_cast<size_t>(shape[1]);
    if (geometry.num_moe_layers == shape[1] && !dense && geometry.top_k == shape[2] &&
        manifest_.gate_weights == weights_.has_value()) {
      return;
    }
    throw DataError(fmt::format("{}: the arrays beside it are not what it describes; export again",
                                exported_manifest.string()));
  }

  bool allow_missing_;
  fs::path folder_;
  std::string name_;
  NpyArray experts_;
  JsonLines lines_;
  TokenNumbering numbering_;
  LayerSurvey survey_;
  std::vector<int> moe_layers_;
  std::optional<NpyArray> weights_;
  std::optional<NpyArray> token_ids_;
  int64_t num_texts_ = 0;
};

}  // namespace

std::unique_ptr<TraceSource> open_stacked_arrays(const fs::path& experts,
                                                 const ImportOptions& options,
                                                 const StopToken& stop) {
  return std::make_unique<StackedArrays>(experts, options, stop);
}

}  // namespace foregate::trace
