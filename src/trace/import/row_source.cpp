#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <map>

#include "base/error.h"
#include "base/number_text.h"
#include "trace/import/open_text.h"
#include "trace/import/source.h"
#include "trace/import/text_tracker.h"

namespace foregate::trace {
namespace {

constexpr size_t kMaxLayersOfRow = 1024;      // More than any model; bounds memory on broken input.
constexpr int64_t kRowsBetweenChecks = 4096;  // For progress and interruption.

/// Texts out of rows. The first reading finds out which rows make up a text, the second puts the
/// texts together; a text is given when its last row has come.
class RowSource : public TraceSource {
 public:
  RowSource(std::unique_ptr<RoutingRows> rows, const ImportOptions& options, std::string name,
            const RunContext& run)
      : rows_(std::move(rows)),
        options_(options),
        name_(std::move(name)),
        log_(run.log),
        numbering_(names_, options.tokenizer.get()) {
    const auto progress = run.progress.start(
        {.label = "reading", .unit = "kB", .total = static_cast<int64_t>(rows_->size() / 1000)});
    WarmupDetector warmup;
    RoutingRow row;
    for (int64_t count = 0; rows_->next(row); ++count) {
      const size_t text = tracker_.text_of(row);
      survey(row, text);
      warmup.add(text, row);
      if (count % kRowsBetweenChecks != 0) continue;
      run.stop.check("nothing was imported");
      progress->update(static_cast<int64_t>(rows_->position() / 1000));
    }
    progress->update(static_cast<int64_t>(rows_->size() / 1000));
    progress->finish();
    if (texts_.empty()) {
      const LeftOut left_out = rows_->left_out();
      throw DataError(fmt::format(
          "{}: no routing rows{}{}", options.path.string(),
          options.skip > 0 ? " are left behind --skip" : " in it",
          left_out.first_problem.empty() ? "" : "; the first problem: " + left_out.first_problem));
    }
    rows_->require_whole();
    numbering_.settle(options.path.string(), left_out_);
    describe();
    say_what_was_found(warmup.rows());
    tracker_ = {};
    rows_->rewind();
  }

  int64_t num_texts() const override { return static_cast<int64_t>(texts_.size()); }
  LeftOut left_out() const override {
    LeftOut result = rows_->left_out();
    result.ambiguous = left_out_.ambiguous;
    return result;
  }

  bool next(SourceText& text) override {
    RoutingRow row;
    while (rows_->next(row)) {
      const size_t index = tracker_.text_of(row);
      auto open = open_.find(index);
      if (open == open_.end()) {
        const Extent& extent = texts_[index];
        open = open_
                   .emplace(index, OpenText(extent.rows, extent.last_token, layers_.size(), k_,
                                            rows_->where()))
                   .first;
      }
      open->second.add(row, layers_.at(row.layer), rows_->where());
      if (!open->second.has_all_rows()) continue;
      close(index, row, open->second, text);
      open_.erase(open);
      return true;
    }
    return false;
  }

 private:
  struct Extent {
    int64_t rows = 0;
    int64_t last_token = 0;
  };

  void survey(const RoutingRow& row, size_t text) {
    if (text == texts_.size()) {
      texts_.emplace_back();
      const bool again = text > 0 && row.token == 0 && row.text == last_text_;
      restarts_ += again ? 1 : 0;
      last_text_ = row.text;
    }
    Extent& extent = texts_[text];
    ++extent.rows;
    extent.last_token = std::max(extent.last_token, row.token);
    if (layers_.try_emplace(row.layer).second && layers_.size() > kMaxLayersOfRow) {
      throw DataError(
          fmt::format("{}: more than {} different layers", rows_->where(), kMaxLayersOfRow));
    }
    if (k_ == 0) {
      k_ = row.experts.size();
      has_weights_ = !row.weights.empty();
    }
    if (row.experts.size() != k_) {
      throw DataError(fmt::format("{}: {} experts; the rows before have {}", rows_->where(),
                                  row.experts.size(), k_));
    }
    if (row.weights.empty() == has_weights_) {
      throw DataError(
          fmt::format("{}: gate weights in some rows and not in others", rows_->where()));
    }
    numbering_.expect(row.token_kind, rows_->where());
    if (row.token_kind == TokenIds::kHashed) numbering_.survey(row.token_name);
    largest_ = std::max<int>(largest_, *std::max_element(row.experts.begin(), row.experts.end()));
  }

  void describe() {
    manifest_ = imported_manifest(rows_->model().empty() ? name_ : rows_->model());
    manifest_.geometry = plain_geometry(static_cast<int64_t>(layers_.size()), largest_ + 1,
                                        static_cast<int64_t>(k_));
    manifest_.geometry.moe_layers.clear();
    for (auto& [layer, index] : layers_) {
      index = manifest_.geometry.moe_layers.size();
      manifest_.geometry.moe_layers.push_back(static_cast<int>(layer));
    }
    manifest_.gate_weights = has_weights_;
    manifest_.token_ids = numbering_.kind();
  }

  void say_what_was_found(int64_t warmup_rows) const {
    if (warmup_rows > 0) {
      log_.warning(
          "the first {} rows{} look like warm-up, all their tokens are routed alike; leave "
          "them out with --skip {}",
          with_commas(warmup_rows), options_.skip > 0 ? " behind --skip" : "",
          options_.skip + warmup_rows);
    }
    if (restarts_ > 0) {
      log_.warning(
          "the token positions of a request begin again {} times; each time is taken as a "
          "new text (a log that cannot tell requests apart counts the tokens of a forward "
          "pass)",
          with_commas(restarts_));
    }
    if (numbering_.kind() == TokenIds::kUnique) {
      log_.warning(
          "the rows do not say which tokens were routed; every token gets an id of its "
          "own, so equal tokens and duplicate texts are not recognised");
    }
  }

  void close(size_t index, const RoutingRow& row, const OpenText& open, SourceText& text) {
    text = SourceText();
    text.where = open.where();
    text.trace.dataset = row.dataset.empty() ? name_ : row.dataset;
    text.trace.sample = static_cast<int64_t>(index);
    int64_t tokens = open.num_tokens();
    const std::string problem = open.problem(manifest_.geometry.moe_layers);
    if (!problem.empty()) {
      const bool cut = rows_->positions_given();
      if (!options_.allow_missing) {
        throw DataError(fmt::format(
            "{}; --allow-missing {}", problem,
            cut ? "keeps of such texts what is before the gap" : "leaves out such texts"));
      }
      tokens = cut ? open.complete_tokens() : 0;
      log_.debug("{}: {} of {} tokens are kept", problem, tokens, open.num_tokens());
    }
    text.cut = open.num_tokens() - tokens;
    open.fill(tokens, numbering_, text.trace);
  }

  std::unique_ptr<RoutingRows> rows_;
  ImportOptions options_;
  std::string name_;
  Logger& log_;
  TokenNumbering numbering_;
  TextTracker tracker_;
  std::vector<Extent> texts_;
  std::map<int64_t, size_t> layers_;  ///< layer as recorded -> MoE layer
  size_t k_ = 0;
  bool has_weights_ = false;
  int largest_ = 0;
  int64_t restarts_ = 0;
  std::string last_text_;
  std::map<size_t, OpenText> open_;
};

}  // namespace

std::unique_ptr<TraceSource> open_rows(std::unique_ptr<RoutingRows> rows,
                                       const ImportOptions& options, const std::string& name,
                                       const RunContext& run) {
  return std::make_unique<RowSource>(std::move(rows), options, name, run);
}

}  // namespace foregate::trace
