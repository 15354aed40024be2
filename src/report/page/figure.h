#pragma once

#include <functional>
#include <string>
#include <vector>

#include "report/charts/svg.h"
#include "report/page/table.h"
#include "report/page/table_file.h"

namespace foregate::report {

/// One drawing of a figure with the table under it; without a drawing (no body) the table is shown
/// at once.
struct Panel {
  std::string name;  ///< As the reader chooses it: "layer 3 → 4"; empty for an only panel
  Chart chart;
  Table table;
};

struct Figure {
  std::string id;  ///< Stem of its files: "expert-usage"
  std::string title;
  std::string reading;  ///< How to read it, in a sentence or two (plain text)
  std::string choice;   ///< Label of the list that panels are chosen from: "Show"
  std::vector<Panel> panels;
  std::function<void(TableFile&)> data;  ///< Writes all its numbers
};

struct Section {
  std::string id;
  std::string title;
  std::vector<std::string> paragraphs;  ///< Plain text
  std::string html;                     ///< What is neither text nor figure, already escaped
  std::vector<Figure> figures;
};

std::string to_html(const Section& section);

}  // namespace foregate::report
