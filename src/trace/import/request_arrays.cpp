#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trace/import/arrays.h"
#include "trace/import/json_lines.h"
#include "trace/import/source.h"
#include "trace/import/tokens.h"

namespace foregate::trace {
namespace {

/// requests.jsonl: a line a text, which names the npy file of its routing [tokens, layers, k]
/// (`routed_experts`) and may have `tokens` (strings) or `token_ids`, and `dataset`.
class RequestArrays : public TraceSource {
 public:
  RequestArrays(const fs::path& list, const StopToken& stop)
      : lines_(list), folder_(fs::weakly_canonical(list).parent_path()), numbering_(names_) {
    const std::string name = folder_.filename().string();
    manifest_ = imported_manifest(name);
    manifest_.gate_weights = false;  // Nothing says in which order the experts of a decision are.
    int largest = 0;
    Json json;
    while (lines_.next(json)) {
      stop.check("nothing was imported");
      largest = std::max(largest, survey(JsonReader(json, lines_.where())));
      ++num_texts_;
    }
    manifest_.geometry = plain_geometry(layers_, largest + 1, k_);
    manifest_.token_ids = numbering_.kind();
    lines_.rewind();
  }

  int64_t num_texts() const override { return num_texts_; }

  bool next(SourceText& text) override {
    Json json;
    if (!lines_.next(json)) return false;
    const JsonReader line(json, lines_.where());
    const NpyArray experts(file_of(line));
    text = SourceText();
    text.where = experts.name();
    text.trace.dataset = line.string("dataset", manifest_.model);
    text.trace.sample = -1;
    const int64_t tokens = experts.shape()[0];
    text.trace.token_ids = numbering_.ids(read_token_list(line), 0, tokens);
    text.trace.prompt_tokens = static_cast<int32_t>(tokens);
    copy_routing(experts, nullptr, 0, tokens, text.trace);
    return true;
  }

 private:
  fs::path file_of(const JsonReader& line) const {
    const fs::path file = folder_ / line.string("routed_experts");
    if (fs::exists(file)) return file;
    throw DataError(fmt::format("{}: 'routed_experts' names {}, which is not there", line.where(),
                                file.string()));
  }

  /// Checks everything about a line that does not depend on the others' experts; the largest id.
  int survey(const JsonReader& line) {
    const NpyArray experts(file_of(line));
    require_experts(experts);
    const auto& shape = experts.shape();
    if (num_texts_ == 0) {
      layers_ = shape[1];
      k_ = shape[2];
    } else if (shape[1] != layers_ || shape[2] != k_) {
      throw DataError(
          fmt::format("{}: {} layers and {} experts a decision; the files before have "
                      "{} and {}",
                      experts.name(), shape[1], shape[2], layers_, k_));
    }
    const TokenList tokens = read_token_list(line);
    numbering_.expect(tokens.kind, line.where());
    if (shape[0] == 0 || tokens.size().value_or(shape[0]) != shape[0]) {
      throw DataError(
          fmt::format("{}: {} tokens, but {} has rows for {}; expected the same, and "
                      "at least one",
                      line.where(), tokens.size().value_or(0), experts.name(), shape[0]));
    }
    return largest_expert(experts);
  }

  JsonLines lines_;
  fs::path folder_;
  TokenNumbering numbering_;
  int64_t num_texts_ = 0;
  int64_t layers_ = 0;
  int64_t k_ = 0;
};

}  // namespace

std::unique_ptr<TraceSource> open_request_arrays(const fs::path& list, const StopToken& stop) {
  return std::make_unique<RequestArrays>(list, stop);
}

}  // namespace foregate::trace
