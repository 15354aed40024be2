#include "live/text_index.h"

#include <torch/types.h>

#include <algorithm>
#include <set>

#include "predict/texts/routed_texts.h"

namespace foregate::live {

int64_t TextIndex::texts_of(trace::Split split) const {
  return std::count(splits.begin(), splits.end(), split);
}

int64_t TextIndex::tokens_of(trace::Split split) const {
  int64_t tokens = 0;
  for (size_t i = 0; i < splits.size(); ++i) tokens += splits[i] == split ? lengths[i] : 0;
  return tokens;
}

std::vector<int32_t> token_ids_of(const collect::Source& source, const text::PlannedText& text) {
  std::vector<int32_t> ids = source.tokenizer.encode(text.text);
  const auto most = static_cast<size_t>(source.options.max_length);
  if (ids.size() > most) ids.resize(most);
  return ids;
}

TextIndex index_texts(const collect::Source& source, const std::string& held_out,
                      const RunContext& run) {
  std::vector<trace::SplitText> texts;
  TextIndex index;
  text::PlannedTexts planned(source.plan);
  const auto progress =
      run.progress.start({.label = "tokenise", .unit = "texts", .total = source.plan.num_texts()});
  for (text::PlannedText text; planned.next(text);) {
    run.stop.check("nothing was written");
    const std::string& dataset = source.plan.datasets[static_cast<size_t>(text.dataset)].spec.name;
    texts.push_back({dataset, text.row, token_ids_of(source, text)});
    index.lengths.push_back(static_cast<int32_t>(texts.back().token_ids.size()));
    index.hashes.push_back(predict::hash_of(texts.back().token_ids));
    progress->update(static_cast<int64_t>(texts.size()));
  }
  progress->finish();
  index.splits = trace::split_texts(texts, source.options.seed);
  if (!held_out.empty()) {
    std::vector<std::string> datasets;
    for (const trace::SplitText& text : texts) datasets.push_back(text.dataset);
    predict::hold_out_dataset(index.splits, datasets, held_out);
  }
  std::set<int64_t> ids;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (index.splits[i] != trace::Split::kTrain) continue;
    ids.insert(texts[i].token_ids.begin(), texts[i].token_ids.end());
  }
  index.training_ids = torch::tensor(std::vector<int64_t>(ids.begin(), ids.end()), torch::kInt64);
  return index;
}

}  // namespace foregate::live
