#include "report/page/figure.h"

#include <fmt/format.h>

#include "report/charts/number_format.h"

namespace foregate::report {
namespace {

std::string panel_html(const Panel& panel) {
  std::string html = fmt::format("<div class=\"panel\" data-name=\"{}\">\n", escape(panel.name));
  if (!panel.name.empty())
    html += fmt::format("<h4 class=\"panel-name\">{}</h4>\n", escape(panel.name));
  if (panel.chart.body.empty()) {
    return html + fmt::format("<div class=\"scroll\" tabindex=\"0\">\n{}</div>\n</div>\n",
                              panel.table.to_html());
  }
  html += fmt::format("<div class=\"scroll\">\n{}</div>\n", inline_svg(panel.chart));
  if (!panel.table.rows.empty()) {
    html += fmt::format(
        "<details><summary>Data table</summary><div class=\"scroll\" tabindex=\"0\">\n"
        "{}</div></details>\n",
        panel.table.to_html());
  }
  return html + "</div>\n";
}

std::string figure_html(const Figure& figure) {
  std::string html = fmt::format(
      "<figure id=\"figure-{0}\"{1}>\n<h3>{2}</h3>\n<figcaption>{3}</figcaption>\n",
      escape(figure.id),
      figure.panels.size() > 1 ? fmt::format(" data-choice=\"{}\"", escape(figure.choice)) : "",
      escape(figure.title), escape(figure.reading));
  for (const Panel& panel : figure.panels) html += panel_html(panel);
  return html + fmt::format(
                    "<button type=\"button\" class=\"data\" hidden data-file=\"{}.csv\">"
                    "Save these numbers (CSV)</button>\n</figure>\n",
                    escape(figure.id));
}

}  // namespace

std::string to_html(const Section& section) {
  std::string html =
      fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n", escape(section.id), escape(section.title));
  for (const std::string& paragraph : section.paragraphs)
    html += fmt::format("<p>{}</p>\n", escape(paragraph));
  html += section.html;
  for (const Figure& figure : section.figures) html += figure_html(figure);
  return html + "</section>\n";
}

}  // namespace foregate::report
