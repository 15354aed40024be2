#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/number_text.h"
#include "trace/export/exported.h"
#include "trace/geometry.h"
#include "trace/import/engine_join.h"
#include "trace/import/json_lines.h"
#include "trace/import/routing_block.h"
#include "trace/import/source.h"
#include "trace/import/tokens.h"

namespace foregate::trace {
namespace {

/// One text of the record, ready but for the layers that turn out to be dense.
struct ReadText {
  std::string where;
  std::string dataset;
  int64_t sample = -1;
  JoinedText joined;
};

/// A text a line: what vLLM and SGLang return with a request, and {"experts": [tokens][layers][k],
/// ...} as `foregate export` writes it (with the manifest in the first line).
class TextLines : public TraceSource {
 public:
  TextLines(const std::vector<fs::path>& files, const ImportOptions& options, std::string name,
            const RunContext& run)
      : lines_(files, options.allow_missing),
        numbering_(names_, options.tokenizer.get()),
        options_(options),
        name_(std::move(name)),
        folder_(fs::weakly_canonical(files.front()).parent_path()),
        run_(run) {
    manifest_ = imported_manifest(name_);
    find_form();
    while (read_document()) {
      run_.stop.check("nothing was imported");
      for (const ReadText& text : texts_) survey(text);
    }
    if (num_texts_ == 0) fail_empty();
    moe_layers_ = survey_.moe_layers();
    if (moe_layers_.empty()) {
      throw DataError(
          fmt::format("{}: every decision is zeros or -1, as engines leave places where they "
                      "recorded no routing; "
                      "see whether this engine records the routing of this model",
                      name_of(files)));
    }
    describe();
    left_out_.broken_lines = lines_.broken();
    if (left_out_.records == 0) left_out_.first_problem = lines_.first_problem();
    surveyed_ = true;
    lines_.rewind();
  }

  int64_t num_texts() const override { return num_texts_; }

  bool next(SourceText& text) override {
    while (next_ == texts_.size()) {
      next_ = 0;
      if (!read_document()) return false;
    }
    fill(texts_[next_++], text);
    return true;
  }

 private:
  static std::string name_of(const std::vector<fs::path>& files) {
    return files.size() == 1
               ? files.front().string()
               : fmt::format("{} and {} more", files.front().string(), files.size() - 1);
  }

  /// Where arrays have no shape the number of experts a decision is the user's word, or found out.
  void find_form() {
    form_.top_k = options_.top_k;
    if (form_.top_k > 0) return;
    TopKGuess guess;
    bool shaped = false;  // Whoever writes shapes writes them everywhere.
    Json json;
    while (!shaped && !(guess.any() && guess.sure()) && lines_.next(json)) {
      run_.stop.check("nothing was imported");
      try {
        for (const EngineText& text : engine_texts(json, lines_.where())) {
          shaped = shaped || has_shape(text);
          if (!shaped) guess_from(text, guess);
        }
      } catch (const DataError&) {  // Said when the text is read.
      }
    }
    lines_.rewind();
    if (!guess.any()) return;
    if (!guess.sure()) {
      throw UsageError(fmt::format(
          "{}: the arrays of routed experts have no shape, {} integers a token; say how many "
          "experts a "
          "token has at a layer with --top-k (num_experts_per_tok in the model's config.json)",
          lines_.where(), guess.width()));
    }
    form_.top_k = guess.top_k();
    run_.log.info(
        "the arrays of routed experts have no shape: {} layers with {} experts a token, for which "
        "no "
        "token has an expert twice; if the model has others, say so with --top-k",
        guess.width() / form_.top_k, form_.top_k);
  }

  static bool has_shape(const EngineText& text) {
    return text.routing != nullptr && !text.routing->is_string();
  }

  static void guess_from(const EngineText& text, TopKGuess& guess) {
    if (text.routing == nullptr) return;
    const std::vector<int64_t> ids =
        bare_ids(*text.routing, {.where = text.where, .dtype = text.dtype, .rows = {}});
    const int64_t rows = fitting_rows(ids.size(), possible_rows(text), {.layers = 0, .top_k = 1});
    if (rows > 0) guess.add(ids, rows);
  }

  /// Reads the next document into texts_; false at the end.
  bool read_document() {
    texts_.clear();
    Json json;
    if (!lines_.next(json)) return false;
    const std::string where = lines_.where();
    if (json.is_object() && json.contains("manifest")) {
      if (!surveyed_) read_header(JsonReader(json, where));
      return true;
    }
    try {
      for (const EngineText& text : engine_texts(json, where)) read(text);
    } catch (const DataError& error) {
      if (!options_.allow_missing) {
        throw DataError(fmt::format("{}; --allow-missing leaves out such records", error.what()));
      }
      leave_out(error.what());
    }
    return true;
  }

  void leave_out(const std::string& problem) {
    if (!surveyed_) left_out_.problem(problem);
  }

  void read(const EngineText& text) {
    if (text.routing == nullptr && text.prompt_routing == nullptr) {
      if (!surveyed_) ++left_out_.without_routing;
      return;
    }
    ReadText read{
        .where = text.where, .dataset = text.dataset, .sample = text.sample, .joined = {}};
    try {
      read.joined = join_text(text, form_);
      check_like_first(read);
      if (!surveyed_) note_tokens(text, read.joined);
    } catch (const DataError& error) {
      if (!options_.allow_missing) throw;
      return leave_out(error.what());
    }
    form_.layers = read.joined.block.layers;
    texts_.push_back(std::move(read));
    if (surveyed_) return;
    for (const std::string& key : text.unread) ++left_out_.unread[key];
  }

  void read_header(const JsonReader& line) {
    if (num_texts_ > 0) {
      throw DataError(
          fmt::format("{}: a manifest behind texts; expected it in the first line", line.where()));
    }
    manifest_ = exported::read_manifest(line.at("manifest"), line.where(), folder_, names_);
    knows_experts_ = true;
  }

  void check_like_first(const ReadText& text) {
    const RoutingBlock& block = text.joined.block;
    if (survey_.layers() == 0) return;
    if (block.layers != survey_.layers() || block.k != survey_.k()) {
      throw DataError(
          fmt::format("{}: {} layers and {} experts a decision; the lines before have "
                      "{} and {}",
                      text.where, block.layers, block.k, survey_.layers(), survey_.k()));
    }
    if (block.weights.empty() == has_weights_) {
      throw DataError(fmt::format("{}: gate weights in some lines and not in others", text.where));
    }
  }

  /// A response need not name its tokens; a line that somebody made does so like the others.
  void note_tokens(const EngineText& text, const JoinedText& joined) {
    const bool named = joined.tokens.size().has_value();
    if (named || !text.response) numbering_.survey(joined.tokens, text.where);
    if (!named && text.response) ++left_out_.unnamed;
    if (joined.misfit) ++left_out_.misfits;
  }

  void survey(const ReadText& text) {
    const JoinedText& joined = text.joined;
    if (survey_.layers() == 0) has_weights_ = !joined.block.weights.empty();
    survey_.add(joined.block);
    left_out_.unrun += joined.unrun;
    left_out_.unrouted_prompts += joined.unrouted_prompt;
    ++num_texts_;
  }

  void fill(const ReadText& read, SourceText& text) {
    const JoinedText& joined = read.joined;
    text = SourceText();
    text.where = read.where;
    text.trace.dataset = read.dataset.empty() ? folder_.filename().string() : read.dataset;
    text.trace.sample = read.sample;
    const RoutedSpan span = routed_span(joined.block, moe_layers_);
    if (!span.gap.empty() && !options_.allow_missing) {
      throw DataError(fmt::format(
          "{}: no decision of {}; --allow-missing keeps of such texts what is before the gap",
          read.where, span.gap));
    }
    text.cut = span.cut;
    left_out_.unrouted += span.first + span.unrouted;
    copy_routing(joined.block, moe_layers_, span, text.trace);
    text.trace.token_ids = numbering_.ids(joined.tokens, span.first, span.count);
    text.trace.prompt_tokens =
        static_cast<int32_t>(std::clamp<int64_t>(joined.prompt - span.first, 0, span.count));
  }

  void describe() {
    if (left_out_.unnamed > 0) numbering_.give_up();
    numbering_.settle(lines_.where(), left_out_);
    if (!knows_experts_) {
      manifest_.gate_weights = has_weights_;
      manifest_.geometry = geometry_of(survey_, moe_layers_);
      left_out_.dense_layers = dense_layers(survey_, moe_layers_);
      manifest_.token_ids = numbering_.kind();
      return;
    }
    const Geometry& geometry = manifest_.geometry;
    if (geometry.num_moe_layers == survey_.layers() && geometry.top_k == survey_.k() &&
        moe_layers_.size() == static_cast<size_t>(survey_.layers()) &&
        manifest_.gate_weights == has_weights_) {
      return;
    }
    throw DataError(fmt::format("{}: the texts are not what its first line describes; export again",
                                lines_.where()));
  }

  [[noreturn]] void fail_empty() const {
    const std::string first =
        left_out_.records > 0 ? fmt::format("; the first problem: {}", left_out_.first_problem)
        : lines_.broken() > 0
            ? fmt::format("; the first problem: {}", lines_.first_problem())
            : "; start the engine with --enable-return-routed-experts (SGLang: and "
              "ask for return_routed_experts), and keep whole responses";
    throw DataError(
        fmt::format("{}: no line holds the routing of a text ({} without, {} not usable){}",
                    lines_.where(), with_commas(left_out_.without_routing),
                    with_commas(left_out_.records + lines_.broken()), first));
  }

  JsonLines lines_;
  TokenNumbering numbering_;
  const ImportOptions& options_;
  std::string name_;
  fs::path folder_;
  const RunContext& run_;
  ArrayForm form_;
  LayerSurvey survey_;
  std::vector<int> moe_layers_;
  std::vector<ReadText> texts_;  ///< of the document read last
  size_t next_ = 0;
  bool surveyed_ = false;
  bool has_weights_ = false;
  int64_t num_texts_ = 0;
};

}  // namespace

std::unique_ptr<TraceSource> open_text_lines(const std::vector<fs::path>& files,
                                             const ImportOptions& options, const std::string& name,
                                             const RunContext& run) {
  return std::make_unique<TextLines>(files, options, name, run);
}

}  // namespace foregate::trace
