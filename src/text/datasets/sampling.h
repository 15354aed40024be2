#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "text/datasets/dataset.h"

namespace foregate::text {

/// A file as it was when it was read.
struct FileStamp {
  std::filesystem::path path;
  uint64_t bytes = 0;
  std::filesystem::file_time_type modified;
};

/// How many texts each dataset gives and which.
struct DatasetPlan {
  DatasetSpec spec;
  std::string description;                ///< what is read: "column 'text' of test.csv"
  int64_t available = 0;                  ///< usable rows
  int64_t skipped = 0;                    ///< unusable rows
  std::vector<std::string> skip_reasons;  ///< "12 rows: blank text", the most frequent first
  /// Chosen ones among the usable rows: of one stage after the other, ascending within each.
  std::vector<int64_t> ordinals;
  std::vector<size_t> stage_ends;  ///< in `ordinals`
  std::string sha256;              ///< of all usable texts and their rows
  std::vector<FileStamp> files;    ///< what was read
};

/// A balanced sample: equal shares, remainder spread over the first datasets, what a short dataset
/// cannot give moved to the others (unless strict: then DataError naming it). Deterministic in
/// (data, seed, target).
///
/// A sample can grow: with totals of earlier plans as `earlier`, it has the texts of those, in
/// their order, stage by stage, and then those that are new.
struct SamplingPlan {
  std::vector<DatasetPlan> datasets;
  /// Less than the target if all datasets together run short.
  int64_t num_texts() const;
  /// Totals of the stages before the last one.
  std::vector<int64_t> earlier;
};

/// Reads every dataset once to count its usable rows (`on_row` for progress: rows read so far over
/// all datasets), then chooses. Datasets that run short are reported as warnings to `log`. Throws
/// UsageError for no dataset, two of one name or a target below 1, DataError for an empty dataset.
SamplingPlan plan_sampling(const std::vector<DatasetSpec>& specs, int64_t target, uint64_t seed,
                           bool strict, Logger& log,
                           const std::function<void(int64_t rows)>& on_row = {},
                           const std::vector<int64_t>& earlier = {});

/// Throws DataError if a file of the plan is not as it was when its texts were counted.
void require_unchanged(const SamplingPlan& plan);

/// `target` shared over datasets that have `available` texts each: as equal as they allow, the
/// remainder to the first. Sums up to less than `target` only if there are not enough texts.
std::vector<int64_t> balanced_shares(const std::vector<int64_t>& available, int64_t target);

struct PlannedText {
  int dataset = 0;  ///< index into SamplingPlan::datasets
  int64_t row = 0;  ///< row in its source
  std::string text;
  size_t stage = 0;
};

/// The planned texts, stage by stage: datasets taking turns, each dataset in row order. One pass
/// over each source a stage, constant memory. The plan must outlive the object.
class PlannedTexts {
 public:
  explicit PlannedTexts(const SamplingPlan& plan);
  /// False at the end. Throws DataError if a dataset has fewer texts than when it was planned.
  bool next(PlannedText& text);

 private:
  struct Cursor {
    std::unique_ptr<TextSource> source;
    const DatasetPlan* plan = nullptr;
    size_t taken = 0;
    int64_t seen = 0;
  };
  bool stage_is_done() const;
  void begin_next_stage();

  std::vector<Cursor> cursors_;
  size_t turn_ = 0;
  size_t stage_ = 0;
  size_t num_stages_ = 0;
};

}  // namespace foregate::text
