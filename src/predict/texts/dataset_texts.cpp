#include "predict/texts/dataset_texts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <set>

#include "base/error.h"
#include "predict/texts/routed_text.h"

namespace foregate::predict {

DatasetTexts::DatasetTexts(const RoutedTexts& all, std::string dataset)
    : all_(all), dataset_(std::move(dataset)) {
  if (all.routers()) set_routers(*all.routers(), all.name());
  int64_t texts = 0;
  int64_t tokens = 0;
  std::set<std::string> names;
  all.for_each({.split = trace::Split::kTrain}, [&](const RoutedText& text) {
    names.insert(text.dataset);
    if (text.dataset != dataset_) return;
    ++texts;
    tokens += text.num_tokens();
  });
  if (texts == 0) {
    throw UsageError(fmt::format("there is no training text of '{}' in {}; its datasets are: {}",
                                 dataset_, all.name(), fmt::join(names, ", ")));
  }
  mean_tokens_ = static_cast<double>(tokens) / static_cast<double>(texts);
}

void DatasetTexts::for_each(const TextSelection& selection,
                            const std::function<void(const RoutedText&)>& visit) const {
  all_.for_each(selection, [&](const RoutedText& text) {
    if (text.dataset == dataset_) visit(text);
  });
}

int64_t DatasetTexts::count(const TextSelection& selection) const {
  int64_t texts = 0;
  for_each(selection, [&](const RoutedText&) { ++texts; });
  return texts;
}

}  // namespace foregate::predict
