//! A line for each row, over the percentiles of its latency.

use std::ops::Range;

use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{svg, text, Area, COLOURS, LABEL, LETTER, WIDTH};
use super::{heading, origin};
use crate::number::shown;
use crate::{Cell, Report, Row, Table};

const HEIGHT: u32 = 380;
const LEGEND_LINE: u32 = 20;
/// The ids of the columns, in order.
const COLUMNS: [&str; 4] = ["p50", "p99", "p99_9", "max"];

/// A row, and its figures by their places on the axis.
type Line<'a> = (&'a Row, Vec<(i32, Cell)>);

pub fn draw(report: &Report, table: &Table) -> Result<String, String> {
    let places = COLUMNS.map(|id| table.columns.iter().position(|column| column.id == id));
    let lines: Vec<Line<'_>> = table.rows.iter().map(|row| line(row, places)).collect();
    let values = lines.iter().flat_map(|(_, points)| points);
    let values: Vec<f64> = values.flat_map(|(_, cell)| [cell.min, cell.max]).collect();
    // Percentiles lie powers of ten apart. Only a zero has no place on such an axis: it is drawn on
    // the lower edge.
    let positive = values.iter().copied().filter(|value| *value > 0.0);
    let min = positive.reduce(f64::min).unwrap_or(1.0);
    let max = values.iter().copied().fold(min, f64::max);
    let edge = if values.contains(&0.0) {
        min / 2.0
    } else {
        min * 0.8
    };
    if values.is_empty() {
        return Err("no percentiles".to_owned());
    }
    let unit = places.iter().flatten().next();
    let unit = unit.map_or("", |place| table.columns[*place].unit.as_str());
    let (heading, origin) = (heading(report, table), origin(report, table));
    let legend_height = LEGEND_LINE * lines.len().div_ceil(legend_columns(&lines)) as u32;
    svg(&heading, &origin, legend_height + HEIGHT, |area| {
        let (above, below) = area.split_vertically(legend_height);
        legend(&above, &lines)?;
        fill(&below, edge..max * 1.25, unit, &lines)
    })
}

/// The rows' names beside their colours.
fn legend(area: &Area<'_>, lines: &[Line<'_>]) -> Result<(), String> {
    let columns = legend_columns(lines);
    for (at, (row, _)) in lines.iter().enumerate() {
        let x = 80 + (at % columns) as i32 * (WIDTH as i32 - 80) / columns as i32;
        let y = (at / columns * LEGEND_LINE as usize) as i32 + LEGEND_LINE as i32 / 2;
        let strokes = match is_dashed(at) {
            true => vec![(x, x + 10), (x + 14, x + 24)],
            false => vec![(x, x + 24)],
        };
        for (from, to) in strokes {
            let stroke = PathElement::new([(from, y), (to, y)], colour(at).stroke_width(3));
            area.draw(&stroke).map_err(text)?;
        }
        let centre = Pos::new(HPos::Left, VPos::Center);
        let style = LABEL.into_font().color(&BLACK).pos(centre);
        area.draw_text(&row.name, &style, (x + 32, y))
            .map_err(text)?;
    }
    Ok(())
}

/// Two, if names are short enough.
fn legend_columns(lines: &[Line<'_>]) -> usize {
    let names = lines.iter().map(|(row, _)| row.name.chars().count());
    let longest = names.max().unwrap_or(0) * LETTER + 40;
    1 + usize::from(lines.len() > 3 && longest < (WIDTH as usize - 80) / 2)
}

/// With more rows than colours, the others are told apart by this.
fn is_dashed(at: usize) -> bool {
    at >= COLOURS.len()
}

fn colour(at: usize) -> RGBColor {
    COLOURS[at % COLOURS.len()]
}

/// The figures that a row has.
fn line(row: &Row, places: [Option<usize>; 4]) -> Line<'_> {
    let cell = |place: Option<usize>| row.cells.get(place?).copied().flatten();
    let points = (0..).zip(places.map(cell));
    (
        row,
        points.filter_map(|(at, cell)| Some((at, cell?))).collect(),
    )
}

fn fill(area: &Area<'_>, values: Range<f64>, unit: &str, lines: &[Line<'_>]) -> Result<(), String> {
    let edge = values.start;
    let percentiles = (0..COLUMNS.len() as i32 - 1).into_segmented();
    let mut chart = ChartBuilder::on(area)
        .margin_right(24)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(percentiles, values.log_scale())
        .map_err(text)?;
    let name = |place: &SegmentValue<i32>| match place {
        SegmentValue::CenterOf(at) => {
            let name = COLUMNS.get(*at as usize).copied().unwrap_or_default();
            name.replace('_', ".")
        }
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc("percentile of the latency")
        .x_label_formatter(&name)
        .y_desc(unit)
        .y_label_formatter(&|value| axis_label(*value))
        .label_style(LABEL)
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()
        .map_err(text)?;
    let place = SegmentValue::CenterOf;
    for (at, (_, points)) in lines.iter().enumerate() {
        let colour = colour(at);
        let medians = points
            .iter()
            .map(|(x, cell)| (place(*x), cell.median.max(edge)));
        let line = medians.clone();
        let drawn = match is_dashed(at) {
            true => chart.draw_series(DashedLineSeries::new(line, 6, 4, colour.stroke_width(2))),
            false => chart.draw_series(LineSeries::new(line, colour.stroke_width(2))),
        };
        drawn.map_err(text)?;
        let dots = medians.map(|point| Circle::new(point, 3, colour.filled()));
        chart.draw_series(dots).map_err(text)?;
        let whiskers = points.iter().filter(|(_, cell)| cell.max > cell.min);
        let whiskers = whiskers.map(|(x, cell)| {
            let ends = [cell.min.max(edge), cell.max].map(|y| (place(*x), y));
            PathElement::new(ends, colour)
        });
        chart.draw_series(whiskers).map_err(text)?;
    }
    Ok(())
}

/// Powers of ten, and between them 2 and 5: the others would lie too close.
fn axis_label(value: f64) -> String {
    let decade = 10_f64.powf(value.log10().floor());
    let lead = (value / decade).round();
    match lead == 1.0 || lead == 2.0 || lead == 5.0 || lead == 10.0 {
        true => shown(value, Some((-value.log10().floor()).max(0.0) as usize)),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_labels_at_ones_twos_and_fives() {
        let labels = [0.05, 0.1, 0.2, 0.3, 1.0, 4.0, 5.0, 20.0, 1000.0].map(axis_label);
        assert_eq!(
            labels,
            ["0.05", "0.1", "0.2", "", "1", "", "5", "20", "1 000"]
        );
    }
}
