#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "trace/import/arrays.h"
#include "trace/import/json_lines.h"
#include "trace/import/source.h"
#include "trace/import/tokens.h"

namespace foregate::trace {
namespace {

constexpr const char* kRoutedExperts = "routed_experts";

/// requests.jsonl: a line a text, which names the npy file of its routing [tokens, layers, k]
/// (`routed_experts`) and may have `tokens` (strings) or `token_ids`, and `dataset`.
class RequestArrays : public TraceSource {
 public:
  RequestArrays(const fs::path& list, const ImportOptions& options, const StopToken& stop)
      : lines_(list, options.allow_missing),
        allow_missing_(options.allow_missing),
        folder_(fs::weakly_canonical(list).parent_path()),
        numbering_(names_, options.tokenizer.get()) {
    manifest_ = imported_manifest(folder_.filename().string());
    manifest_.gate_weights = false;  // Nothing says in which order the experts of a decision are.
    Json json;
    while (lines_.next(json)) {
      stop.check("nothing was imported");
      survey(JsonReader(json, lines_.where()));
    }
    moe_layers_ = survey_.moe_layers();
    if (moe_layers_.empty()) {
      throw DataError(fmt::format("{}: no array in it holds routing", list.string()));
    }
    manifest_.geometry = geometry_of(survey_, moe_layers_);
    numbering_.settle(list.string(), left_out_);
    manifest_.token_ids = numbering_.kind();
    left_out_.dense_layers = dense_layers(survey_, moe_layers_);
    left_out_.broken_lines = lines_.broken();
    if (left_out_.records == 0) left_out_.first_problem = lines_.first_problem();
    count_unlisted();
    lines_.rewind();
  }

  int64_t num_texts() const override { return num_texts_; }

  bool next(SourceText& text) override {
    Json json;
    do {
      if (!lines_.next(json)) return false;
    } while (!usable_.contains(lines_.where()));
    const JsonReader line(json, lines_.where());
    const NpyArray array(file_of(line));
    const RoutingBlock block = read_rows(array, nullptr, 0, array.shape()[0]);
    text = SourceText();
    text.where = array.name();
    text.trace.dataset = line.string("dataset", manifest_.model);
    text.trace.sample = -1;
    const RoutedSpan span = routed_span(block, moe_layers_);
    if (!span.gap.empty() && !allow_missing_) {
      throw DataError(fmt::format(
          "{}: no decision of {}; --allow-missing keeps of such texts what is before the gap",
          array.name(), span.gap));
    }
    text.cut = span.cut;
    left_out_.unrouted += span.first + span.unrouted;
    copy_routing(block, moe_layers_, span, text.trace);
    text.trace.token_ids = numbering_.ids(read_token_list(line), span.first, span.count);
    text.trace.prompt_tokens = static_cast<int32_t>(span.count);
    return true;
  }

 private:
  /// A record from elsewhere must not reach out of its folder.
  fs::path file_of(const JsonReader& line) const {
    const fs::path name = line.string(kRoutedExperts);
    const bool inside =
        name.is_relative() && std::find(name.begin(), name.end(), "..") == name.end();
    if (!inside || name.empty()) line.fail(kRoutedExperts, "an npy file inside the folder");
    const fs::path file = folder_ / name;
    if (fs::exists(file)) return file;
    throw DataError(fmt::format("{}: 'routed_experts' names {}, which is not there", line.where(),
                                file.string()));
  }

  /// Checks everything about a line that does not depend on the others' experts.
  void survey(const JsonReader& line) {
    if (line.json().contains(kRoutedExperts) && !line.has(kRoutedExperts)) {
      ++left_out_.without_routing;  // An aborted request.
      return;
    }
    try {
      survey_text(line);
      ++num_texts_;
      usable_.insert(line.where());
    } catch (const DataError& error) {
      if (!allow_missing_) throw;
      left_out_.problem(error.what());
    }
  }

  void survey_text(const JsonReader& line) {
    const NpyArray array(file_of(line));
    require_experts(array);
    const auto& shape = array.shape();
    if (num_texts_ > 0 && (shape[1] != survey_.layers() || shape[2] != survey_.k())) {
      throw DataError(
          fmt::format("{}: {} layers and {} experts a decision; the files before have "
                      "{} and {}",
                      array.name(), shape[1], shape[2], survey_.layers(), survey_.k()));
    }
    const TokenList tokens = read_token_list(line);
    const int64_t given = tokens.size().value_or(shape[0]);
    // The last token that an engine samples is never run.
    if (shape[0] == 0 || (given != shape[0] && given != shape[0] + 1)) {
      throw DataError(fmt::format(
          "{}: {} tokens, but {} has rows for {}; expected the same (the last token may "
          "lack its row), and at least one",
          line.where(), tokens.size().value_or(0), array.name(), shape[0]));
    }
    numbering_.survey(tokens, line.where());
    survey_.add(read_rows(array, nullptr, 0, shape[0]));
    left_out_.unrun += given - shape[0];
    listed_.insert(fs::path(line.string(kRoutedExperts)).lexically_normal());
  }

  void count_unlisted() {
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const fs::path name = entry.path().filename();
      if (name.extension() == ".npy" && !listed_.contains(name)) ++left_out_.unlisted_files;
    }
  }

  JsonLines lines_;
  bool allow_missing_;
  fs::path folder_;
  TokenNumbering numbering_;
  LayerSurvey survey_;
  std::vector<int> moe_layers_;
  std::set<std::string> usable_;  ///< lines that are texts
  std::set<fs::path> listed_;
  int64_t num_texts_ = 0;
};

}  // namespace

std::unique_ptr<TraceSource> open_request_arrays(const fs::path& list, const ImportOptions& options,
                                                 const StopToken& stop) {
  return std::make_unique<RequestArrays>(list, options, stop);
}

}  // namespace foregate::trace
